package dialect

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrBlocked is wrapped by the refusal to dial an address.
var ErrBlocked = errors.New("address must not be called")

// Guard says whether an address may be dialled: nil, or why not. It sees plain IPv4
// for addresses that are IPv4 inside IPv6. It is called from many goroutines.
type Guard func(netip.Addr) error

// metadata is where clouds hand out a machine's credentials to whoever asks on it.
var (
	metadata = netip.MustParseAddr("169.254.169.254")
	nat64    = netip.MustParsePrefix("64:ff9b::/96")
)

// Typed is the guard for what a person typed: anything but the clouds' metadata service.
func Typed(a netip.Addr) error {
	if a == metadata {
		return fmt.Errorf("%w: %v gives out this machine's cloud credentials", ErrBlocked, a)
	}
	return nil
}

// check applies a guard to host:port as a dialer's Control hook sees it.
func check(g Guard, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is not an IP address and port", ErrBlocked, address)
	}
	return g(plain(ap.Addr()))
}

// plain strips the zone and takes IPv4 out of its IPv6 wrappings.
func plain(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}
