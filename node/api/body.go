package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

const (
	maxBody  = 64 << 10 // of one row
	maxBatch = 4 << 20
)

// readBody reads what the request carries into in.body: 64 KiB, or 4 MiB if it is a
// batch. Whether it is one shows in its first 64 KiB, so that no more than that is read
// of a body that is merely too large.
func (in *input) readBody(w http.ResponseWriter, r *http.Request) error {
	if err := jsonContent(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	if r.ContentLength > maxBatch {
		return Problemf(TooLarge, "the body has %d bytes, larger than the %d that a batch may have; send fewer rows at once", r.ContentLength, maxBatch)
	}
	body := http.MaxBytesReader(w, r.Body, maxBatch)
	var err error
	if in.body, err = readUpTo(in.body, body, maxBody); err != nil {
		return bodyError(err)
	}
	if len(in.body) < maxBody {
		return nil
	}
	if !bytes.Contains(in.body, []byte(`"instances"`)) {
		if in.body, err = readUpTo(in.body, body, maxBody+1); err != nil {
			return bodyError(err)
		}
		if len(in.body) > maxBody {
			return Problemf(TooLarge, `the body is larger than %d bytes, which is more than one row needs; many rows go into "instances"`, maxBody)
		}
		return nil
	}
	in.body, err = readUpTo(in.body, body, maxBatch)
	return bodyError(err)
}

// readUpTo appends to buf until it has limit bytes or r ends.
func readUpTo(buf []byte, r io.Reader, limit int) ([]byte, error) {
	for len(buf) < limit {
		if cap(buf) == len(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), limit)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return Problemf(TooLarge, "the body is larger than %d bytes; send fewer rows at once", tooLarge.Limit)
	}
	p := NewProblem(BadInput, "the body broke off or came too slowly; send it again")
	p.Cause = err
	return p
}

// jsonContent refuses what says that it is not JSON. No type at all is taken for JSON.
func jsonContent(contentType string) error {
	if contentType == "" || contentType == "application/json" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) {
		return nil
	}
	return Problemf(UnsupportedMedia, "the content type is %q; send JSON, with -H 'Content-Type: application/json' in curl", shown(contentType))
}

// json decodes the body.
func (in *input) json() error {
	s := scanner{b: in.body}
	if s.peek() == 0 {
		return Problemf(BadInput, `the body is empty; send {"features":[...]}; %s`, in.s.wants())
	}
	if s.peek() != '{' {
		return NewProblem(BadInput, `the body is not a JSON object; write {"features":[5.1,...]} or {"instances":[[...],[...]]}`)
	}
	var list, batch bool
	err := s.object(1, func(key string) error {
		switch key {
		case "features":
			if list {
				return NewProblem(BadInput, "features is given twice; give it once")
			}
			list = true
			if in.nset > 0 {
				return in.mixed()
			}
			return in.jsonRow(&s, "features")
		case "instances":
			if batch {
				return NewProblem(BadInput, "instances is given twice; give it once")
			}
			batch = true
			return in.instances(&s)
		}
		if done, err := in.jsonOption(&s, key); done || err != nil {
			return err
		}
		i, ok := in.s.slot(key)
		if !ok {
			return in.unknown(key)
		}
		if list {
			return in.mixed()
		}
		return in.jsonPut(&s, i, func() string { return in.s.name(i) })
	})
	if err != nil {
		return err
	}
	if err := s.end(); err != nil {
		return err
	}
	if batch {
		if list || in.nset > 0 {
			return NewProblem(BadInput, "features and instances are both given; a batch has instances alone")
		}
		in.q.Batch = true
		return nil
	}
	return in.finish("")
}

// instances reads the rows of a batch: lists of numbers, or objects by name.
func (in *input) instances(s *scanner) error {
	if in.nset > 0 {
		return NewProblem(BadInput, "features and instances are both given; a batch has instances alone")
	}
	if s.peek() != '[' {
		return NewProblem(BadInput, `instances must be a list of rows: {"instances":[[5.1,...],[...]]}`)
	}
	n, err := s.list(2, func(i int) error {
		if i >= in.s.rows {
			return Problemf(TooLarge, "instances has more than %d rows; send fewer rows at once", in.s.rows)
		}
		in.begin()
		switch s.peek() {
		case '[':
			if err := in.jsonList(s, 3, func() string { return fmt.Sprintf("instances[%d]", i) }); err != nil {
				return err
			}
		case '{':
			err := s.object(3, func(key string) error {
				k, ok := in.s.slot(key)
				if !ok {
					return Problemf(BadInput, "instances[%d] has an unknown feature %q; %s", i, shown(key), in.s.wants())
				}
				return in.jsonPut(s, k, func() string { return fmt.Sprintf("instances[%d], %s", i, in.s.name(k)) })
			})
			if err != nil {
				return err
			}
		default:
			return Problemf(BadInput, "instances[%d] must be a list of numbers; %s", i, in.s.wants())
		}
		return in.finish(fmtRow(i, in.nset < len(in.set)))
	})
	in.begin()
	if err == nil && n == 0 {
		return Problemf(BadInput, "instances has no rows; %s", in.s.wants())
	}
	return err
}

// fmtRow names a row for a complaint, and costs nothing when there is none.
func fmtRow(i int, wanted bool) string {
	if !wanted {
		return ""
	}
	return fmt.Sprintf("instances[%d]: ", i)
}

func (in *input) jsonRow(s *scanner, where string) error {
	if s.peek() != '[' {
		return Problemf(BadInput, `%s must be a list of numbers: {"features":[5.1,...]}; %s`, where, in.s.wants())
	}
	return in.jsonList(s, 2, func() string { return where })
}

// jsonList reads a list of exactly as many numbers as there are features.
func (in *input) jsonList(s *scanner, depth int, where func() string) error {
	n, err := s.list(depth, func(i int) error {
		if i < len(in.row) {
			x, err := s.number()
			if err != nil {
				return in.badNumber(s, where()+", "+in.s.name(i), err)
			}
			in.row[i], in.set[i] = x, true
			in.nset++
			return nil
		}
		_, err := s.skip(depth) // counts on, for the complaint
		return err
	})
	if err != nil {
		return err
	}
	if n != len(in.row) {
		return in.wrongCount(where(), n)
	}
	return nil
}

// jsonPut reads the number of feature i. where names it, should that be wanted.
func (in *input) jsonPut(s *scanner, i int, where func() string) error {
	x, err := s.number()
	if err != nil {
		return in.badNumber(s, where(), err)
	}
	return in.put(i, x)
}

// badNumber says what stands where a number should.
func (in *input) badNumber(s *scanner, where string, err error) error {
	if errors.Is(err, errTooLarge) {
		return Problemf(BadInput, "%s: the number %v", where, err)
	}
	start := s.i
	switch c := s.peek(); c {
	case '"':
		text, err := s.str()
		if err != nil {
			return err
		}
		if _, err := parseNumber(text); err == nil {
			return Problemf(BadInput, "%s: %q is a text; write the number without quotes", where, shown(text))
		}
		return Problemf(BadInput, "%s: %q %v", where, shown(text), notNumber(text))
	case '[', '{', 't', 'f', 'n':
		if text, err := s.skip(4); err == nil {
			return Problemf(BadInput, "%s: %s %v", where, shown(string(text)), errNotNumber)
		}
		s.i = start
	case 'N', 'I', '-', '+':
		end := start
		for end < len(s.b) && bytes.IndexByte([]byte(",]} \t\r\n"), s.b[end]) < 0 {
			end++
		}
		if text := string(s.b[start:end]); notNumber(text) == errNotFinite {
			return Problemf(BadInput, "%s: %q %v", where, shown(text), errNotFinite)
		}
	}
	return s.fail("a number for " + where)
}

// jsonOption reads an option of a round from the body.
func (in *input) jsonOption(s *scanner, key string) (bool, error) {
	known := key == "pretty"
	for _, o := range consensusOptions {
		known = known || (in.consensus && o == key)
	}
	if !known {
		return false, nil
	}
	if key == "models" && s.peek() == '[' {
		var names []string
		_, err := s.list(2, func(int) error {
			n, err := s.str()
			names = append(names, n)
			return err
		})
		if err != nil {
			return true, err
		}
		return in.option(key, strings.Join(names, ","))
	}
	if s.peek() == '"' {
		text, err := s.str()
		if err != nil {
			return true, err
		}
		return in.option(key, text)
	}
	text, err := s.skip(2)
	if err != nil {
		return true, err
	}
	return in.option(key, string(text))
}
