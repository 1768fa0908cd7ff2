package main

import (
	"net"
	"slices"
	"strconv"
	"time"

	"caucus/cluster/identity"
)

// choosePorts keeps the wanted ports that are free and puts the next free one above
// them all in the place of each that is not, so that no node takes the port that
// another of the three wants. 0 stays 0.
func choosePorts(wanted []int) []int {
	chosen := slices.Clone(wanted)
	next := slices.Max(wanted) + 1
	for i, port := range wanted {
		if port == 0 || free(port) {
			continue
		}
		for next <= 65535 && !free(next) {
			next++
		}
		if next > 65535 {
			chosen[i] = 0
			continue
		}
		chosen[i] = next
		next++
	}
	return chosen
}

// free reports whether a port can be used on this machine. That binding works is not
// enough: macOS lets a program bind 127.0.0.1:5000 while AirPlay holds the port on
// every interface, and "localhost" then leads to AirPlay.
func free(port int) bool {
	p := strconv.Itoa(port)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", p))
	if err != nil {
		return false
	}
	l.Close()
	for _, host := range []string{"127.0.0.1", "::1"} {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(host, p), 50*time.Millisecond); err == nil {
			c.Close()
			return false
		}
	}
	return true
}

// local writes a loopback address as people do.
func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host == "127.0.0.1" {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port)
	return n
}

// inviteTo is an open invitation to a node of this process.
func inviteTo(address string) identity.Invite { return identity.Invite{Address: "http://" + address} }
