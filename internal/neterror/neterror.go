// Package neterror tells what went wrong on the network, on every system. Windows reports
// it under numbers of its own (Winsock's), which package syscall does not count as the
// errors of the same meaning: errors.Is(err, syscall.EADDRINUSE) is never true there.
package neterror

import (
	"errors"
	"runtime"
	"syscall"
)

// winsock has Winsock's number for each error that somebody asks for
// (https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2).
var winsock = map[syscall.Errno]syscall.Errno{
	syscall.EADDRINUSE:    10048,
	syscall.EADDRNOTAVAIL: 10049,
	syscall.ECONNRESET:    10054,
	syscall.ECONNREFUSED:  10061,
}

// reserved is what Windows says of a port that it keeps for itself, as Hyper-V has it do
// with ranges around 5000: WSAEACCES.
const reserved syscall.Errno = 10013

// Is reports whether err, or what it wraps, is the error of that meaning.
func Is(err error, want syscall.Errno) bool { return is(runtime.GOOS, err, want) }

// PortTaken reports whether err says that a port cannot be had, and another may do.
func PortTaken(err error) bool { return portTaken(runtime.GOOS, err) }

func is(goos string, err error, want syscall.Errno) bool {
	return errors.Is(err, want) || goos == "windows" && winsock[want] != 0 && errors.Is(err, winsock[want])
}

func portTaken(goos string, err error) bool {
	return is(goos, err, syscall.EADDRINUSE) || goos == "windows" && errors.Is(err, reserved)
}
