package api

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// errSyntax says that what stands there is no number; badNumber finds the words.
var errSyntax = errors.New("api: not a JSON number")

// maxDepth bounds nesting, so that a body of brackets cannot exhaust the stack.
const maxDepth = 32

// scanner reads JSON (RFC 8259) from a buffer. encoding/json would do for one row, but
// it takes a duplicate key silently, cannot say which number of which row is wrong, and is
// several times slower on a batch. A fuzz test holds it against json.Valid.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next byte that is not space, or 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// take steps over c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.i >= len(s.b) {
		return false
	}
	s.i++
	return true
}

// fail says where the text stops being JSON.
func (s *scanner) fail(want string) error {
	if s.i >= len(s.b) {
		return Problemf(BadInput, "the body ends too early: %s is wanted after byte %d; is it cut off?", want, len(s.b))
	}
	end := min(s.i+20, len(s.b))
	return Problemf(BadInput, "the body is not JSON at byte %d: %s is wanted before %q", s.i, want, shown(string(s.b[s.i:end])))
}

// str reads a string. The result may share memory with the buffer.
func (s *scanner) str() (string, error) {
	if !s.take('"') {
		return "", s.fail("a text in double quotes")
	}
	start := s.i
	plain := true
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			raw := s.b[start:s.i]
			s.i++
			if plain && utf8.Valid(raw) {
				return string(raw), nil
			}
			var text string
			if err := json.Unmarshal(s.b[start-1:s.i], &text); err != nil {
				s.i = start
				return "", s.fail("a text with valid escapes")
			}
			return text, nil
		case c == '\\':
			plain = false
			s.i += 2
		case c < 0x20:
			return "", s.fail("an escape such as \\n instead of the control character")
		default:
			s.i++
		}
	}
	s.i = len(s.b)
	return "", s.fail("the closing double quote")
}

// number reads a finite number. The error of a number that is too large is errTooLarge.
func (s *scanner) number() (float64, error) {
	s.space()
	start := s.i
	if !s.skipNumber() {
		s.i = start
		return 0, errSyntax
	}
	x, err := strconv.ParseFloat(string(s.b[start:s.i]), 64)
	if err != nil && (!errors.Is(err, strconv.ErrRange) || math.IsInf(x, 0)) {
		return 0, errTooLarge
	}
	return x, nil
}

// skipNumber steps over -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) skipNumber() bool {
	if s.at() == '-' {
		s.i++
	}
	switch c := s.at(); {
	case c == '0':
		s.i++
	case '1' <= c && c <= '9':
		s.digits()
	default:
		return false
	}
	if s.at() == '.' {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if c := s.at(); c == 'e' || c == 'E' {
		s.i++
		if c := s.at(); c == '+' || c == '-' {
			s.i++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) at() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// literal steps over true, false or null.
func (s *scanner) literal(word string) bool {
	s.space()
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// list reads an array and calls each with the index of every element.
func (s *scanner) list(depth int, each func(i int) error) (int, error) {
	if depth > maxDepth {
		return 0, Problemf(BadInput, "the body is nested deeper than %d levels", maxDepth)
	}
	if !s.take('[') {
		return 0, s.fail("[")
	}
	if s.take(']') {
		return 0, nil
	}
	for n := 0; ; {
		if err := each(n); err != nil {
			return n, err
		}
		n++
		if s.take(',') {
			continue
		}
		if s.take(']') {
			return n, nil
		}
		return n, s.fail(", or ]")
	}
}

// object reads an object and calls each with every key, the value being next.
func (s *scanner) object(depth int, each func(key string) error) error {
	if depth > maxDepth {
		return Problemf(BadInput, "the body is nested deeper than %d levels", maxDepth)
	}
	if !s.take('{') {
		return s.fail("{")
	}
	if s.take('}') {
		return nil
	}
	for {
		key, err := s.str()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.fail(":")
		}
		if err := each(key); err != nil {
			return err
		}
		if s.take(',') {
			continue
		}
		if s.take('}') {
			return nil
		}
		return s.fail(", or }")
	}
}

// skip steps over any value and returns its text.
func (s *scanner) skip(depth int) ([]byte, error) {
	s.space()
	start := s.i
	var err error
	switch c := s.peek(); {
	case c == '{':
		err = s.object(depth+1, func(string) error { _, err := s.skip(depth + 1); return err })
	case c == '[':
		_, err = s.list(depth+1, func(int) error { _, err := s.skip(depth + 1); return err })
	case c == '"':
		_, err = s.str()
	case s.literal("true"), s.literal("false"), s.literal("null"):
	default:
		if !s.skipNumber() {
			s.i = start
			err = s.fail("a value")
		}
	}
	return s.b[start:s.i], err
}

// end fails unless nothing but space is left.
func (s *scanner) end() error {
	s.space()
	if s.i < len(s.b) {
		return s.fail("the end")
	}
	return nil
}
