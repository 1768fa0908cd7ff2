package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"caucus/cluster/identity"
)

// The handshake, over any net.Conn. After TLS, in messages of u16 length, type:
//
//	dialer                                  acceptor
//	proof: version, a MAC for each token →
//	                                      ← proof: the MAC of the token they share
//	                                      ← hello
//	done                                  →
//	hello                                 →
//	                                      ← done
//
// In place of any of its messages either end may send a refusal in words and
// close. The dialer proves first, so a stranger learns from an acceptor nothing
// but its id and whether it wants a token.
//
// A MAC covers the role, both ids and a secret that TLS derives for this very
// connection. So it cannot be replayed, reflected, or passed on by somebody in
// the middle, who would have two TLS connections with two different secrets.

// protocolVersion is what this program speaks, in the subprotocol of the upgrade
// and in the dialer's proof.
const protocolVersion = 1

type role byte

const (
	dialer   role = 'D'
	acceptor role = 'A'
)

const (
	messageProof  = 'P'
	messageHello  = 'H'
	messageDone   = 'K'
	messageRefuse = 'R'
)

const (
	maxProofs     = 4 // tokens in use at once: two while one is being replaced, and two to spare
	proofLength   = sha256.Size
	exporterLabel = "EXPORTER-caucus-session-v1"
	proofContext  = "caucus v1 proof of token\x00"
	alpn          = "caucus/1"
)

// greeting is the outcome of a handshake.
type greeting struct {
	conn    *tls.Conn
	base    *countedConn // what TLS is on
	peer    identity.ID
	process []byte // its certificate, which is another in each of its processes
	hello   []byte
	rtt     time.Duration
}

// handshake makes conn a session's connection: TLS, proof and hello. want, when
// not empty, is the id that must answer; tokens are those to prove and accept, nil: the configuration's.
// It does not close conn. When ctx ends, conn is made useless and ctx's error returned.
func (m *Manager) handshake(ctx context.Context, conn net.Conn, as role, want identity.ID, tokens []identity.Token) (*greeting, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	g, err := m.greet(ctx, conn, as, want, tokens)
	if !stop() && err == nil {
		err = context.Cause(ctx) // the deadline came after the last read: the connection is spoilt
	}
	switch {
	case err == nil:
		return g, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("session: the handshake did not end within %v: %w", m.cfg.HandshakeTimeout, ctx.Err())
	case ctx.Err() != nil:
		return nil, fmt.Errorf("session: the handshake was given up: %w", ctx.Err())
	}
	return nil, err
}

func (m *Manager) greet(ctx context.Context, conn net.Conn, as role, want identity.ID, tokens []identity.Token) (*greeting, error) {
	base := &countedConn{Conn: conn, limit: maxUnproven}
	secure, peer, err := m.secure(ctx, base, as)
	if err != nil {
		return nil, err
	}
	if want != "" && peer != want {
		return nil, &IdentityError{Want: want, Got: peer}
	}
	if tokens == nil {
		tokens = m.cfg.Tokens(peer)
	}
	state := secure.ConnectionState()
	secret, err := state.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("session: TLS exporter: %w", err)
	}
	h := &greeter{m: m, as: as, conn: secure, peer: peer, secret: secret, tokens: tokens[:min(len(tokens), maxProofs)]}
	g := &greeting{conn: secure, base: base, peer: peer, process: state.PeerCertificates[0].Raw}
	if as == dialer {
		g.hello, g.rtt, err = h.dial()
	} else {
		g.hello, g.rtt, err = h.accept()
	}
	base.limit = 0 // nobody else reads yet
	return g, err
}

// secure does TLS on conn and returns who proved to be at the other end: anybody but this node.
func (m *Manager) secure(ctx context.Context, conn net.Conn, as role) (*tls.Conn, identity.ID, error) {
	secure := tls.Server(conn, m.tls)
	if as == dialer {
		secure = tls.Client(conn, m.tls)
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, "", fmt.Errorf("session: TLS: %w", err)
	}
	peer, _, err := identity.OfCertificate(secure.ConnectionState().PeerCertificates[0])
	switch {
	case err != nil:
		return nil, "", err
	case peer == m.id && m.isOwn(secure.ConnectionState().PeerCertificates[0].Raw):
		return nil, "", ErrSelf
	case peer == m.id:
		if m.cfg.OnTwin != nil {
			m.cfg.OnTwin(conn.RemoteAddr().String())
		}
		return nil, "", ErrTwin
	}
	return secure, peer, nil
}

// tlsConfig is the one for both roles. Certificates are self-made, so the
// standard verification says nothing; OfCertificate on the peer's key and the
// comparison with the id that was wanted take its place. There are no tickets:
// on resumption nothing of the certificate would be looked at again. X25519
// alone, because the post-quantum share costs 1.2 KB a handshake.
func tlsConfig(key *identity.Key) (*tls.Config, error) {
	cert, err := key.Certificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		MaxVersion:                  tls.VersionTLS13,
		Certificates:                []tls.Certificate{cert},
		ClientAuth:                  tls.RequireAnyClientCert,
		InsecureSkipVerify:          true, // see above; VerifyConnection judges
		VerifyConnection:            verifyConnection,
		SessionTicketsDisabled:      true,
		CurvePreferences:            []tls.CurveID{tls.X25519},
		NextProtos:                  []string{alpn},
		DynamicRecordSizingDisabled: true,
	}, nil
}

func verifyConnection(state tls.ConnectionState) error {
	if state.NegotiatedProtocol != alpn {
		return errors.New("session: the other end does not speak " + alpn)
	}
	if len(state.PeerCertificates) != 1 {
		return fmt.Errorf("session: want one certificate, got %d", len(state.PeerCertificates))
	}
	_, _, err := identity.OfCertificate(state.PeerCertificates[0])
	return err
}

// greeter is one end of the handshake after TLS.
type greeter struct {
	m      *Manager
	as     role
	conn   *tls.Conn
	peer   identity.ID
	secret []byte
	tokens []identity.Token
}

func (h *greeter) dial() (hello []byte, rtt time.Duration, err error) {
	proofs := make([]byte, 1, 1+maxProofs*proofLength)
	proofs[0] = protocolVersion
	for _, t := range h.tokens {
		proofs = append(proofs, h.proof(t, dialer)...)
	}
	start := time.Now()
	if err := h.send(nil, messageProof, proofs); err != nil {
		return nil, 0, err
	}
	proof, err := h.receive(messageProof, proofLength)
	if err != nil {
		return nil, 0, err
	}
	rtt = time.Since(start)
	if hello, err = h.receive(messageHello, MaxHello); err != nil {
		return nil, 0, err
	}
	if len(h.tokens) == 0 && len(proof) != 0 || len(h.tokens) > 0 && !h.proven(proof, acceptor) {
		return nil, 0, h.refuse("it did not prove the invite token")
	}
	if err := h.judge(hello); err != nil {
		return nil, 0, err
	}
	if err := h.sendHello(message(nil, messageDone, nil)); err != nil {
		return nil, 0, err
	}
	_, err = h.receive(messageDone, 0)
	return hello, rtt, err
}

func (h *greeter) accept() (hello []byte, rtt time.Duration, err error) {
	proofs, err := h.receive(messageProof, 1+maxProofs*proofLength)
	if err != nil {
		return nil, 0, err
	}
	if len(proofs) == 0 || proofs[0] != protocolVersion {
		theirs := byte(0)
		if len(proofs) > 0 {
			theirs = proofs[0]
		}
		return nil, 0, h.turnAway(versionMismatch(int(theirs)))
	}
	proof, reason := h.check(proofs[1:])
	if reason != "" {
		return nil, 0, h.turnAway(reason)
	}
	start := time.Now()
	if err := h.sendHello(message(nil, messageProof, proof)); err != nil {
		return nil, 0, err
	}
	if _, err := h.receive(messageDone, 0); err != nil {
		return nil, 0, err
	}
	rtt = time.Since(start)
	if hello, err = h.receive(messageHello, MaxHello); err != nil {
		return nil, 0, err
	}
	if err := h.judge(hello); err != nil {
		return nil, 0, err
	}
	return hello, rtt, h.send(nil, messageDone, nil)
}

// check looks for a token that both have. It returns the acceptor's proof of
// it, or why there is none, in words for the dialer.
func (h *greeter) check(proofs []byte) (proof []byte, reason string) {
	if len(proofs)%proofLength != 0 {
		return nil, "its proof is malformed"
	}
	switch {
	case len(h.tokens) == 0 && len(proofs) == 0:
		return nil, ""
	case len(h.tokens) == 0:
		return nil, "this cluster is open and takes no token: join it with the URL alone, without #TOKEN"
	case len(proofs) == 0:
		return nil, "this cluster asks for an invite token: join it with URL#TOKEN (caucus invite prints the line)"
	}
	for _, t := range h.tokens {
		want := h.proof(t, dialer)
		for i := 0; i < len(proofs); i += proofLength {
			if hmac.Equal(want, proofs[i:i+proofLength]) {
				return h.proof(t, acceptor), ""
			}
		}
	}
	return nil, "the invite token is not that of this cluster: ask for a new invite (caucus invite prints the line)"
}

// proof is the MAC by which the end in that role shows that it has t.
func (h *greeter) proof(t identity.Token, by role) []byte {
	dialerID, acceptorID := h.m.id, h.peer
	if h.as == acceptor {
		dialerID, acceptorID = acceptorID, dialerID
	}
	mac := hmac.New(sha256.New, t.ProofKey())
	mac.Write([]byte(proofContext)) // all parts have fixed lengths, so that they cannot run into one another
	mac.Write([]byte{byte(by)})
	mac.Write([]byte(dialerID))
	mac.Write([]byte(acceptorID))
	mac.Write(h.secret)
	return mac.Sum(nil)
}

// proven reports whether proof shows one of our tokens.
func (h *greeter) proven(proof []byte, by role) bool {
	for _, t := range h.tokens {
		if hmac.Equal(h.proof(t, by), proof) {
			return true
		}
	}
	return false
}

// judge shows the peer's hello to the configuration and refuses it as told.
func (h *greeter) judge(hello []byte) error {
	if h.m.cfg.OnHello == nil {
		return nil
	}
	if err := h.m.cfg.OnHello(h.peer, hello); err != nil {
		return h.refuse(err.Error())
	}
	return nil
}

// sendHello sends what is in b and, in the same write, this node's hello.
func (h *greeter) sendHello(b []byte) error {
	hello := h.m.cfg.Hello(h.peer)
	if len(hello) > MaxHello {
		return fmt.Errorf("session: this node's hello has %d bytes, the limit is %d", len(hello), MaxHello)
	}
	return h.send(b, messageHello, hello)
}

// refuse tells the peer why and returns that as this end's error.
func (h *greeter) refuse(reason string) error {
	_ = h.send(nil, messageRefuse, []byte(printable([]byte(reason)))) // it may be gone already; the error is the same
	return &refusal{peer: h.peer, reason: reason}
}

// turnAway refuses a peer of which nothing but its key is known.
func (h *greeter) turnAway(reason string) error {
	if h.m.cfg.OnStranger != nil {
		h.m.cfg.OnStranger(h.peer, h.conn.RemoteAddr().String(), reason)
	}
	return h.refuse(reason)
}

// refusal is this end's own refusal of a peer.
type refusal struct {
	peer   identity.ID
	reason string
}

func (e *refusal) Error() string {
	return fmt.Sprintf("session: refused node %s: %s", e.peer, e.reason)
}

func versionMismatch(dialling int) string {
	return fmt.Sprintf("the dialling node speaks protocol %d and the answering node protocol %d: update caucus on the one with the lower number", dialling, protocolVersion)
}

func message(b []byte, kind byte, body []byte) []byte {
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(body))), kind)
	return append(b, body...)
}

func (h *greeter) send(b []byte, kind byte, body []byte) error {
	if _, err := h.conn.Write(message(b, kind, body)); err != nil {
		return fmt.Errorf("session: the other end went away in the handshake: %w", err)
	}
	return nil
}

// receive reads one message of a kind, of at most limit bytes. A refusal in its
// place is a RefusedError.
func (h *greeter) receive(kind byte, limit int) ([]byte, error) {
	var head [3]byte
	if _, err := io.ReadFull(h.conn, head[:]); err != nil {
		return nil, fmt.Errorf("session: the other end went away in the handshake: %w", err)
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if head[2] == messageRefuse {
		limit = maxReason
	} else if head[2] != kind {
		return nil, fmt.Errorf("session: in the handshake, want message %q, got %q", kind, head[2])
	}
	if n > limit {
		return nil, fmt.Errorf("session: in the handshake, message %q of %d bytes, the limit is %d", head[2], n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(h.conn, body); err != nil {
		return nil, fmt.Errorf("session: the other end went away in the handshake: %w", err)
	}
	if head[2] == messageRefuse {
		return nil, &RefusedError{Reason: printable(body)}
	}
	return body, nil
}
