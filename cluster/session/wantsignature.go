package session

// WantsSignature reports whether an encoded question asks for signatures, without decoding it.
func WantsSignature(ask []byte) bool { return len(ask) > 1 && ask[1]&flagSign != 0 }
