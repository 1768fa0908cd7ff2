package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"caucus/internal/neterror"
)

// DialFunc opens a TCP connection.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// portsTried is how many ports NextPort goes through.
const portsTried = 50

// listen binds the address, or with next the first free port after it.
func listen(ctx context.Context, address string, next bool, log *slog.Logger) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	host, port, _ := net.SplitHostPort(address)
	first, _ := strconv.Atoi(port)
	if !neterror.PortTaken(err) {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	if !next || first == 0 {
		return nil, fmt.Errorf("cannot listen on %s: another program has that port (on macOS, AirPlay holds 5000); "+
			"stop it, or give another with --listen: %w", address, err)
	}
	for p := first + 1; p <= min(first+portsTried, 65535); p++ {
		l, tried := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(p)))
		if tried == nil {
			log.Warn("the port is taken, so the next free one is used", "wanted", first, "port", p)
			return l, nil
		}
	}
	return nil, fmt.Errorf("cannot listen on %s, nor on the %d ports after it: %w", address, portsTried, err)
}
