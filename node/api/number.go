package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Millionths is a share, probability or weight as an integer count of 1/1,000,000.
// In JSON it is a plain decimal number with at most six places: 0.98, 1, 0.
// Whole numbers are kept so that equal answers are equal byte for byte on every node.
type Millionths int64

// Float returns m as a float64.
func (m Millionths) Float() float64 { return float64(m) / 1e6 }

// AppendJSON appends the decimal form to dst.
func (m Millionths) AppendJSON(dst []byte) []byte { return appendFixed(dst, int64(m), 1_000_000) }

// MarshalJSON implements json.Marshaler.
func (m Millionths) MarshalJSON() ([]byte, error) { return m.AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Millionths) UnmarshalJSON(b []byte) error {
	v, err := parseFixed(b, 1_000_000)
	*m = Millionths(v)
	return err
}

// Millis is a duration in whole microseconds whose JSON form is a decimal number
// of milliseconds with at most three places: 0.2, 31, 1500.
type Millis int64

// Float returns m in milliseconds.
func (m Millis) Float() float64 { return float64(m) / 1e3 }

// AppendJSON appends the decimal form to dst.
func (m Millis) AppendJSON(dst []byte) []byte { return appendFixed(dst, int64(m), 1_000) }

// MarshalJSON implements json.Marshaler.
func (m Millis) MarshalJSON() ([]byte, error) { return m.AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Millis) UnmarshalJSON(b []byte) error {
	v, err := parseFixed(b, 1_000)
	*m = Millis(v)
	return err
}

// appendFixed writes v/unit as the shortest decimal. unit is a power of ten.
func appendFixed(dst []byte, v, unit int64) []byte {
	// The unsigned detour keeps the smallest int64 right, whose negative does not exist.
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	whole, rest := u/uint64(unit), u%uint64(unit)
	dst = strconv.AppendUint(dst, whole, 10)
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for place := uint64(unit) / 10; rest > 0; place /= 10 {
		dst = append(dst, byte('0'+rest/place))
		rest %= place
	}
	return dst
}

func parseFixed(b []byte, unit float64) (int64, error) {
	if bytes.Equal(b, []byte("null")) {
		return 0, nil
	}
	var x float64
	if err := json.Unmarshal(b, &x); err != nil {
		return 0, err
	}
	x = math.Round(x * unit)
	if math.Abs(x) > 1<<53 {
		return 0, fmt.Errorf("api: the number %s is too large", b)
	}
	return int64(x), nil
}

// Distribution is a number for each label. In JSON it is an object whose members
// stand in the order of the labels.
type Distribution struct {
	Labels []string
	Shares []Millionths
}

// IsZero reports whether there is no number at all.
func (d Distribution) IsZero() bool { return len(d.Shares) == 0 }

// Of returns the share of a label, 0 if it has none.
func (d Distribution) Of(label string) Millionths {
	for i, l := range d.Labels {
		if l == label && i < len(d.Shares) {
			return d.Shares[i]
		}
	}
	return 0
}

// AppendJSON appends the object to dst.
func (d Distribution) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, s := range d.Shares {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, d.Labels[i])
		dst = append(dst, ':')
		dst = s.AppendJSON(dst)
	}
	return append(dst, '}')
}

// MarshalJSON implements json.Marshaler.
func (d Distribution) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler and keeps the order of the members.
func (d *Distribution) UnmarshalJSON(b []byte) error {
	*d = Distribution{}
	dec := json.NewDecoder(bytes.NewReader(b))
	t, err := dec.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("api: want an object of numbers by label, got %s", b)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var m Millionths
		if err := dec.Decode(&m); err != nil {
			return err
		}
		d.Labels = append(d.Labels, key.(string))
		d.Shares = append(d.Shares, m)
	}
	return nil
}
