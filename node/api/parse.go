package api

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// What is wrong with a number, as the end of a sentence that names it.
var (
	errEmpty     = errors.New("is empty; write a decimal number such as 5.1")
	errNotFinite = errors.New("is not finite; write a decimal number such as 5.1")
	errTooLarge  = errors.New("is too large for a number; write a decimal number such as 5.1")
	errComma     = errors.New("has a comma; write the decimals with a point, such as 5.1")
	errNotNumber = errors.New("is not a number; write a decimal number such as 5.1")
)

// parseNumber reads a decimal number from a URL. It is stricter than ParseFloat: no
// hexadecimal, no underscores, and nan and inf are refused by name.
func parseNumber(s string) (float64, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, errEmpty
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, notNumber(s)
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && math.IsInf(x, 0):
		return 0, errTooLarge
	case err != nil:
		return 0, errNotNumber
	}
	return x, nil
}

func notNumber(s string) error {
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case "nan", "inf", "infinity":
		return errNotFinite
	}
	if strings.Count(s, ",") == 1 {
		if _, err := parseNumber(strings.Replace(s, ",", ".", 1)); err == nil {
			return errComma
		}
	}
	return errNotNumber
}
