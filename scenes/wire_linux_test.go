package scenes

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// payloads returns the payloads of a direction of a connection that became a WebSocket,
// put together and unmasked, so that what is in them can be searched. ok is false if
// it did not become one.
func payloads(stream []byte) (payload []byte, ok bool) {
	head, rest, found := bytes.Cut(stream, []byte("\r\n\r\n"))
	if !found || !bytes.Contains(bytes.ToLower(head), []byte("upgrade: websocket")) {
		return nil, false
	}
	for len(rest) >= 2 { // RFC 6455, 5.2
		n, at := uint64(rest[1]&0x7f), 2
		switch n {
		case 126:
			if len(rest) < 4 {
				return payload, true
			}
			n, at = uint64(binary.BigEndian.Uint16(rest[2:])), 4
		case 127:
			if len(rest) < 10 {
				return payload, true
			}
			n, at = binary.BigEndian.Uint64(rest[2:]), 10
		}
		var mask []byte
		if rest[1]&0x80 != 0 {
			if len(rest) < at+4 {
				return payload, true
			}
			mask, at = rest[at:at+4], at+4
		}
		body := rest[at:min(uint64(len(rest)), uint64(at)+n)]
		start := len(payload)
		payload = append(payload, body...)
		if mask != nil {
			for i := range body {
				payload[start+i] ^= mask[i%4]
			}
		}
		rest = rest[at+len(body):]
	}
	return payload, true
}

func TestPayloadsAreUnmasked(t *testing.T) {
	head := "GET /gossip HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
	mask := []byte{1, 2, 3, 4}
	frame := func(text string, masked bool) string {
		b := []byte{0x82, byte(len(text))}
		if !masked {
			return string(b) + text
		}
		b[1] |= 0x80
		b = append(b, mask...)
		for i := range len(text) {
			b = append(b, text[i]^mask[i%4])
		}
		return string(b)
	}
	long := string(bytes.Repeat([]byte("x"), 300))
	for name, test := range map[string]struct{ stream, want string }{
		"masked frames":             {head + frame("hello ", true) + frame("world", true), "hello world"},
		"plain frames":              {head + frame("hello ", false) + frame("world", false), "hello world"},
		"a frame of 16-bit length":  {head + "\x82\x7e\x01\x2c" + long, long},
		"a frame that is cut":       {head + frame("hello", true)[:9], "hel"},
		"a frame whose head is cut": {head + "\x82\xfe\x01", ""},
	} {
		got, ok := payloads([]byte(test.stream))
		if !ok || string(got) != test.want {
			t.Errorf("%s: %q, %t; want %q", name, got, ok, test.want)
		}
	}
	if _, ok := payloads([]byte("GET /card HTTP/1.1\r\n\r\n")); ok {
		t.Error("a plain request passed for a WebSocket")
	}
}
