package neterror

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestATakenPortIsToldOnEverySystem(t *testing.T) {
	wrapped := func(e syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", e)}
	}
	for _, c := range []struct {
		name string
		goos string
		err  error
		want bool
	}{
		{"taken", "linux", wrapped(syscall.EADDRINUSE), true},
		{"taken on Windows", "windows", wrapped(10048), true},
		{"kept by Windows for itself", "windows", wrapped(10013), true},
		{"Windows' numbers mean nothing elsewhere", "linux", wrapped(10048), false},
		{"not this machine's address", "windows", wrapped(10049), false},
		{"no permission", "linux", wrapped(syscall.EACCES), false},
		{"something else", "windows", errors.New("odd"), false},
		{"nothing", "windows", nil, false},
	} {
		if got := portTaken(c.goos, c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestIsKnowsBothNumbers(t *testing.T) {
	for ours, theirs := range winsock {
		for _, c := range []struct {
			goos string
			err  error
			want bool
		}{{"linux", ours, true}, {"windows", ours, true}, {"windows", theirs, true}, {"linux", theirs, false}} {
			if got := is(c.goos, c.err, ours); got != c.want {
				t.Errorf("%v on %s as %d: %v", ours, c.goos, c.err, got)
			}
		}
	}
	if is("windows", syscall.Errno(0), syscall.EPIPE) {
		t.Error("an error without a number of Winsock's is every error")
	}
}

// What the machine under the test really says.
func TestARealPortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	again, err := net.Listen("tcp", l.Addr().String())
	if err == nil {
		again.Close()
	}
	if !PortTaken(err) {
		t.Errorf("%v", err)
	}
	l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		conn.Close()
	}
	if !Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}
