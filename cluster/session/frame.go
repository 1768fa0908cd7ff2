package session

import (
	"encoding/binary"
	"fmt"
)

// frameType is the byte after a frame's length.
type frameType byte

// The frames. Integers are big-endian; id is the asker's correlation id, u64.
const (
	frameAsk         frameType = 1 + iota // id, seen u32, a whole question
	frameAskStart                         // id, whole length u32, its first bytes
	frameAskMore                          // id, further bytes
	frameAnswer                           // id, a whole answer
	frameAnswerStart                      // id, whole length u32, its first bytes
	frameAnswerMore                       // id, further bytes
	frameFailure                          // id, busy u8, why in words
	frameCancel                           // id: the asker waits no longer
	frameMux                              // bytes of the yamux connection
	framePing                             // eight bytes, to come back
	framePong                             // the eight bytes
	frameDrain                            // nothing new will be begun on this session
	frameBye                              // why the session ends, in words
)

const (
	frameHeader = 5
	// maxChunk is the most bytes of a question or an answer in one frame.
	maxChunk = 16 << 10
	// maxMux is the most bytes of yamux in one frame: short, so that votes get between.
	maxMux = 8 << 10
	// maxPayload is the longest payload: a full chunk with an id and a u32 before it.
	maxPayload = maxChunk + 8 + 4
)

// beginFrame appends a header whose length endFrame fills in.
func beginFrame(b []byte, t frameType) []byte { return append(b, 0, 0, 0, 0, byte(t)) }

// endFrame sets the length of the frame that began at start and ends with b.
func endFrame(b []byte, start int) {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-frameHeader))
}

// appendFrame appends a frame of an id and a payload.
func appendFrame(b []byte, t frameType, id uint64, payload []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(beginFrame(b, t), id)
	b = append(b, payload...)
	endFrame(b, start)
	return b
}

// frameScanner finds frames in a stream of bytes that arrive in any pieces.
type frameScanner struct {
	buf        []byte
	begin, end int // what is in buf and not yet returned
}

// scanBuffer holds at least one frame and one TLS record.
const scanBuffer = 2 * (maxPayload + frameHeader)

// space returns where to read more bytes to. The frames that next returned
// before are overwritten.
func (s *frameScanner) space() []byte {
	if s.buf == nil {
		s.buf = make([]byte, scanBuffer)
	}
	if s.begin > 0 {
		copy(s.buf, s.buf[s.begin:s.end])
		s.end -= s.begin
		s.begin = 0
	}
	return s.buf[s.end:]
}

// filled says how many bytes were read into space.
func (s *frameScanner) filled(n int) { s.end += n }

// next returns the next whole frame; ok is false if more bytes are needed. The
// payload is valid until space is called.
func (s *frameScanner) next() (t frameType, payload []byte, ok bool, err error) {
	b := s.buf[s.begin:s.end]
	if len(b) < frameHeader {
		return 0, nil, false, nil
	}
	n := binary.BigEndian.Uint32(b)
	if n > maxPayload {
		return 0, nil, false, fmt.Errorf("%w: a frame of %d bytes, the limit is %d", ErrFrame, n, maxPayload)
	}
	if uint32(len(b)-frameHeader) < n {
		return 0, nil, false, nil
	}
	s.begin += frameHeader + int(n)
	return frameType(b[4]), b[frameHeader : frameHeader+n], true, nil
}
