package reach

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"caucus/cluster/identity"
)

// Dial-back: a node that has just joined a peer asks it, on a stream of their session,
// whether the peer can dial it. The peer dials the address that it observes at the other
// end of that session's socket and the port that the node says, and nothing else the
// node says, so that it cannot be sent to third parties.
//
//	ask     [version u8 = 1][port u16]
//	answer  [version u8 = 1][verdict u8][length u8][text]
//
// The text is the URL that was reached, or a sentence why none was.
const (
	dialBackVersion = 1
	verdictReached  = 0
	verdictNot      = 1
	verdictLater    = 2
	maxDialBackText = 255
)

// Sentinels that callers of AskDialBack branch on.
var (
	ErrNotReached = errors.New("the other node could not reach this one")       // its word, with its reason
	ErrAskLater   = errors.New("the other node has dialled for us just before") // try again after a while
	ErrDialBack   = errors.New("reach: malformed dial-back")
)

// maxAskers is more than there are members: beyond it somebody makes up one id after another.
const maxAskers = 1024

// DialBackTimeout bounds a whole dial-back, on either side.
const DialBackTimeout = 8 * time.Second

// AskDialBack asks the peer at the other end of stream to dial this node at a port, and
// returns the URL under which it met it. It closes the stream. What the peer says is
// checked for form only: members meet our id at a URL before they use it.
func AskDialBack(ctx context.Context, stream net.Conn, port uint16) (string, error) {
	defer stream.Close()
	defer boundBy(ctx, stream)()
	if _, err := stream.Write(binary.BigEndian.AppendUint16([]byte{dialBackVersion}, port)); err != nil {
		return "", fmt.Errorf("reach: asking for a dial-back: %w", orCause(ctx, err))
	}
	var head [3]byte
	if _, err := io.ReadFull(stream, head[:]); err != nil {
		return "", fmt.Errorf("reach: waiting for a dial-back: %w", orCause(ctx, err))
	}
	text := make([]byte, head[2])
	if _, err := io.ReadFull(stream, text); err != nil {
		return "", fmt.Errorf("reach: waiting for a dial-back: %w", orCause(ctx, err))
	}
	if head[0] != dialBackVersion {
		return "", fmt.Errorf("%w: version %d", ErrDialBack, head[0])
	}
	switch head[1] {
	case verdictReached:
		return reachedURL(string(text), port)
	case verdictNot:
		return "", fmt.Errorf("%w: %q", ErrNotReached, text)
	case verdictLater:
		return "", ErrAskLater
	}
	return "", fmt.Errorf("%w: verdict %d", ErrDialBack, head[1])
}

// reachedURL checks that a URL is what an honest answer must be: an address and our port.
func reachedURL(s string, port uint16) (string, error) {
	u, err := identity.ParseURL(s)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDialBack, err)
	}
	ap, err := netip.ParseAddrPort(u[len("http://"):])
	if err != nil || ap.Addr().Is4In6() || u != dialBackURL(ap) || ap.Port() != port {
		return "", fmt.Errorf("%w: it says %q, which is not http, an address and port %d", ErrDialBack, u, port)
	}
	return u, nil
}

func dialBackURL(ap netip.AddrPort) string {
	return "http://" + net.JoinHostPort(ap.Addr().String(), strconv.Itoa(int(ap.Port())))
}

// DialerConfig says how a Dialer dials for others.
type DialerConfig struct {
	// Policy judges the observed address as one that was told: a node behind the same
	// tunnel's agent is seen at 127.0.0.1 and must not make us dial ourselves.
	Policy Policy
	// Meet opens a session to a URL and returns nil if the node there proved to be want.
	// It dials under Policy with Told, and closes a session that it has opened for this.
	Meet func(ctx context.Context, url string, want identity.ID) error
	// Every is how often one peer may ask, default once in 10 s; AtOnce is how many dials
	// run at a time for all, default 4. Timeout bounds one dial, default 3 s.
	Every   time.Duration
	AtOnce  int
	Timeout time.Duration
	Log     *slog.Logger // nil: discard
}

// Dialer is the answering end: it dials peers back, each rarely, and few at a time.
type Dialer struct {
	cfg DialerConfig
	log *slog.Logger

	mu     sync.Mutex // guards all below
	busy   int
	last   map[identity.ID]time.Time // when a peer's last dial began
	pruned time.Time                 // when entries of no use any more were last taken out
}

// NewDialer returns a dialer that has dialled nobody yet.
func NewDialer(cfg DialerConfig) *Dialer {
	if cfg.Every <= 0 {
		cfg.Every = 10 * time.Second
	}
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = 4
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 3 * time.Second
	}
	// One attempt at a time for a peer follows from this.
	cfg.Every = max(cfg.Every, cfg.Timeout)
	return &Dialer{cfg: cfg, log: logger(cfg.Log), last: map[identity.ID]time.Time{}}
}

// Serve answers one ask that came on a stream from peer, and closes the stream. remote is
// the other end of the socket of the peer's session, and direct whether that is the peer
// itself: it is where the peer dialled, or where we dialled an IP address; behind a name
// that we dialled may be its tunnel or proxy. Its error is for the log; the peer has been
// told already.
func (d *Dialer) Serve(ctx context.Context, peer identity.ID, remote string, direct bool, stream net.Conn) error {
	defer stream.Close()
	ctx, cancel := context.WithTimeout(ctx, DialBackTimeout)
	defer cancel()
	defer boundBy(ctx, stream)()
	var ask [3]byte
	if _, err := io.ReadFull(stream, ask[:]); err != nil {
		return fmt.Errorf("reach: reading a request for a dial-back: %w", orCause(ctx, err))
	}
	if ask[0] != dialBackVersion {
		return answerDialBack(stream, verdictNot, fmt.Sprintf("this node knows only version %d of dial-back", dialBackVersion))
	}
	port := binary.BigEndian.Uint16(ask[1:])
	url, err := d.dial(ctx, peer, remote, direct, port)
	switch {
	case err == nil:
		d.log.Debug("dialled a peer back", "peer", peer, "url", url)
		return answerDialBack(stream, verdictReached, url)
	case errors.Is(err, ErrAskLater):
		return answerDialBack(stream, verdictLater, "")
	}
	d.log.Debug("could not dial a peer back", "peer", peer, "error", err)
	// Which of the ways to fail it was would tell a peer about our own network.
	say := "nobody with your id answered there"
	if errors.Is(err, ErrBlocked) || errors.Is(err, errNotObserved) {
		say = "the address at which I see you is not yours alone"
	}
	return answerDialBack(stream, verdictNot, say)
}

var errNotObserved = errors.New("the peer's own address is not known")

func (d *Dialer) dial(ctx context.Context, peer identity.ID, remote string, direct bool, port uint16) (string, error) {
	seen, err := netip.ParseAddrPort(remote)
	if err != nil || !direct || port == 0 {
		return "", errNotObserved
	}
	target := netip.AddrPortFrom(seen.Addr().WithZone("").Unmap(), port)
	if err := d.cfg.Policy.Check(Told, target); err != nil {
		return "", err
	}
	if !d.begin(peer, time.Now()) {
		return "", ErrAskLater
	}
	defer d.end()
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	url := dialBackURL(target)
	return url, d.cfg.Meet(ctx, url, peer)
}

// begin takes a place for a dial, unless the peer asked too recently or too many are dialled.
func (d *Dialer) begin(peer identity.ID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last, ok := d.last[peer]; d.busy >= d.cfg.AtOnce || ok && now.Sub(last) < d.cfg.Every {
		return false
	}
	if now.Sub(d.pruned) >= d.cfg.Every { // seldom, so that asking costs no walk each time
		d.pruned = now
		for id, t := range d.last {
			if now.Sub(t) >= d.cfg.Every {
				delete(d.last, id)
			}
		}
	}
	if len(d.last) >= maxAskers {
		return false
	}
	d.last[peer] = now
	d.busy++
	return true
}

// Begin takes a place for calling a peer on its behalf, as Serve does, and returns how to give it back; or
// ErrAskLater, when the peer asked too recently or too many are called.
func (d *Dialer) Begin(peer identity.ID) (end func(), err error) {
	if !d.begin(peer, time.Now()) {
		return nil, ErrAskLater
	}
	return d.end, nil
}

func (d *Dialer) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy--
}

func answerDialBack(w io.Writer, verdict byte, text string) error {
	text = text[:min(len(text), maxDialBackText)]
	_, err := w.Write(append([]byte{dialBackVersion, verdict, byte(len(text))}, text...))
	return err
}

// boundBy makes ctx end what is read from and written to c. The function that it
// returns undoes that, and must be called.
func boundBy(ctx context.Context, c net.Conn) (undo func()) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// orCause prefers the reason why ctx ended to the error of the connection that it broke.
func orCause(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded): // ctx's own, a moment before ctx knows it
		return context.DeadlineExceeded
	}
	return err
}
