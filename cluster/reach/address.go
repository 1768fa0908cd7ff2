package reach

import (
	"encoding/binary"
	"net/netip"
)

// kind is what an address is for, as far as a told address is judged by it.
type kind uint8

const (
	public   kind = iota // anyone may be there
	private              // a network of somebody's own: fine if it is ours too
	loopback             // this machine
	never                // no node can be there, or nobody may send us there
)

// block is a range of addresses and what it is for.
type block struct {
	prefix netip.Prefix
	kind   kind
	what   string // follows "is": "a private address"
}

// blocks are IANA's special-purpose addresses, narrow ones before those around them.
// What is not here is public IPv4, or, in IPv6, public inside 2000::/3 and else reserved.
var blocks = func() []block {
	b := func(prefix string, k kind, what string) block {
		return block{netip.MustParsePrefix(prefix), k, what}
	}
	return []block{
		b("0.0.0.0/32", never, "the unspecified address"),
		b("0.0.0.0/8", never, "an address of \"this network\""),
		b("10.0.0.0/8", private, "a private address"),
		b("100.64.0.0/10", private, "a carrier's or VPN's shared address (100.64.0.0/10)"),
		b("127.0.0.0/8", loopback, "this machine itself"),
		b("169.254.0.0/16", never, "a link-local address"),
		b("172.16.0.0/12", private, "a private address"),
		b("192.0.0.0/24", never, "an address for protocol assignments"),
		b("192.0.2.0/24", private, "an address for documentation"),
		b("192.88.99.0/24", never, "a 6to4 relay"),
		b("192.168.0.0/16", private, "a private address"),
		b("198.18.0.0/15", private, "an address for benchmarks"),
		b("198.51.100.0/24", private, "an address for documentation"),
		b("203.0.113.0/24", private, "an address for documentation"),
		b("224.0.0.0/4", never, "a multicast address"),
		b("255.255.255.255/32", never, "the broadcast address"),
		b("240.0.0.0/4", never, "a reserved address"),

		b("::/128", never, "the unspecified address"),
		b("::1/128", loopback, "this machine itself"),
		b("64:ff9b:1::/48", never, "a local translation to IPv4"),
		b("100::/64", never, "a discard address"),
		b("2001::/32", never, "a Teredo address"),
		b("2001::/23", never, "an address for protocol assignments"),
		b("2001:db8::/32", private, "an address for documentation"),
		b("3fff::/20", private, "an address for documentation"),
		b("2000::/3", public, "a public address"),
		b("fc00::/7", private, "a private address"),
		b("fe80::/10", never, "a link-local address"),
		b("ff00::/8", never, "a multicast address"),
		b("::/0", never, "a reserved address"),
	}
}()

// metadata are the addresses at which clouds hand out a machine's credentials, or
// settings as good as them, to whoever asks on it.
var metadata = func() map[netip.Addr]bool {
	m := map[netip.Addr]bool{}
	for _, s := range []string{
		"169.254.169.254", "fd00:ec2::254", "fd20:ce::254", // AWS, Azure, Google, Oracle, DigitalOcean and others
		"169.254.170.2", "169.254.170.23", "fd00:ec2::23", // AWS: roles of containers
		"100.100.100.200", // Alibaba
		"168.63.129.16",   // Azure's host
		"192.0.0.192",     // Oracle, older
	} {
		m[netip.MustParseAddr(s)] = true
	}
	return m
}()

// plain strips the zone and takes IPv4 out of the IPv6 addresses that lead to it:
// mapped, NAT64 (RFC 6052), 6to4 (RFC 3056) and the old compatible form.
func plain(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if !a.Is6() {
		return a
	}
	b := a.As16()
	switch {
	case binary.BigEndian.Uint64(b[:]) == 0x0064ff9b_00000000 && binary.BigEndian.Uint32(b[8:]) == 0:
		return netip.AddrFrom4([4]byte(b[12:]))
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:]))
	case binary.BigEndian.Uint64(b[:]) == 0 && binary.BigEndian.Uint32(b[8:]) == 0 && binary.BigEndian.Uint32(b[12:]) > 1:
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// look returns the block of a plain address.
func look(a netip.Addr) block {
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			return b
		}
	}
	return block{kind: public, what: "a public address"}
}
