package dialect

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// What an upstream's address says: whether two are the same server, and how far it is.

// fingerprint is of the address and the task: two nodes in front of one server are one voice. An
// address that only means something on one machine counts together with the machine.
func fingerprint(base *url.URL, s Subject) [32]byte {
	h := sha256.New()
	digest := s.Task.Digest()
	fmt.Fprintf(h, "caucus upstream 1\x00%s\x00%x\x00", strings.ToLower(base.Host)+rootOf(base), digest)
	if ownOnly(base.Hostname()) {
		host, _ := os.Hostname()
		fmt.Fprintf(h, "%s\x00", host)
		interfaces, _ := net.Interfaces()
		var cards []string
		for _, i := range interfaces {
			// Addresses that software made up change with every container.
			if len(i.HardwareAddr) > 0 && i.HardwareAddr[0]&2 == 0 {
				cards = append(cards, i.HardwareAddr.String())
			}
		}
		slices.Sort(cards)
		fmt.Fprintf(h, "%s\x00", strings.Join(cards, " "))
	}
	return [32]byte(h.Sum(nil))
}

func ownOnly(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.Unmap().IsLoopback() || a.IsLinkLocalUnicast())
}

// Near reports whether the server is on this machine or in its networks, where looking after it costs
// nobody's quota.
func (u *Upstream) Near() bool {
	host := u.base.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		a = plain(a)
		return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()
	}
	return strings.EqualFold(host, "localhost") || !strings.Contains(host, ".") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal")
}

// SameAddress reports whether a URL leads to where listen (host:port) listens on this machine.
func SameAddress(u *url.URL, listen string) bool {
	_, port, err := net.SplitHostPort(listen)
	return err == nil && port != "0" && ownOnly(u.Hostname()) && portOf(u) == port
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
