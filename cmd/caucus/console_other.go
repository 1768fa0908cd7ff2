//go:build !windows

package main

import (
	"os"
	"syscall"
)

// ansi reports whether the terminal behind f understands escape sequences; TERM says if not.
func ansi(*os.File) bool { return true }

// errDiskFull is what the system says of a full disk.
const errDiskFull = syscall.ENOSPC
