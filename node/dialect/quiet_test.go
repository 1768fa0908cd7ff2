package dialect

import (
	"io"
	"log"
)

// quiet keeps a test server's complaints about refused handshakes out of the output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
