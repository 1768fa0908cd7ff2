package session

import "encoding/binary"

// PeekQuestion returns how many rows an encoded question has, whether it asks for
// signatures and whether these may be joint, without decoding it: 0 rows if it is
// malformed, which Decode will say.
func PeekQuestion(ask []byte) (rows int, sign, jointly bool) {
	const id = 1 + 1 + 16 + 32 // where the request id's length stands
	if len(ask) <= id {
		return 0, false, false
	}
	at := id + 1 + int(ask[id]) + 2
	if len(ask) < at+4 {
		return 0, false, false
	}
	return int(binary.BigEndian.Uint32(ask[at:])), ask[1]&flagSign != 0, ask[1]&flagJointly != 0
}
