package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// processOn names the process that listens on a port, as ": python3, process 1234"; "" where the system does not let this user
// see it, or has no /proc.
func processOn(port int) string {
	if runtime.GOOS != "linux" || port <= 0 {
		return ""
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for inode := range listening(table, port) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	if len(sockets) == 0 {
		return ""
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && sockets[to] {
			pid := strings.Split(fd, "/")[2]
			name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
			if err != nil {
				continue
			}
			return fmt.Sprintf(": %s, process %s", oneLine(strings.TrimSpace(string(name))), pid)
		}
	}
	return ""
}

// listening returns the inodes of the sockets that listen on a port, by one of the kernel's tables: columns of which the second
// is the local address and port in hexadecimal, the fourth the state, 0A for listening, and the tenth the inode.
func listening(table string, port int) map[string]bool {
	out := map[string]bool{}
	f, err := os.Open(table)
	if err != nil {
		return out
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		columns := strings.Fields(lines.Text())
		if len(columns) < 10 || columns[3] != "0A" {
			continue
		}
		_, hex, _ := strings.Cut(columns[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err == nil && int(p) == port {
			out[columns[9]] = true
		}
	}
	return out
}
