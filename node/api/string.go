package api

import (
	"encoding/json"
	"unicode/utf8"
)

// appendString appends s as a JSON string, byte for byte as encoding/json does.
// Nearly all strings here are ids and labels that need no escape.
func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f {
			b, err := json.Marshal(s)
			if err != nil { // does not happen for a string
				return append(dst, `""`...)
			}
			return append(dst, b...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
