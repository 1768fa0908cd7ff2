package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// ansi has the console behind f understand escape sequences, which that of Windows 10 does only
// when it is asked to, and reports whether it does.
func ansi(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(console, &mode) != nil {
		return false
	}
	return mode&windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0 ||
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

// errDiskFull is ERROR_DISK_FULL, which is Windows' ENOSPC.
const errDiskFull = windows.ERROR_DISK_FULL
