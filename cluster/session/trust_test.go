package session

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func withTokens(tokens ...identity.Token) func(*Config) {
	return func(c *Config) { c.Tokens = func(identity.ID) []identity.Token { return tokens } }
}

func TestTokensDecideWhoIsLetIn(t *testing.T) {
	one, two, old := newToken(t), newToken(t), newToken(t)
	for _, tc := range []struct {
		name             string
		dialer, acceptor []identity.Token
		refusal          string // in whose words the dialer is refused; empty: let in
	}{
		{"both have none", nil, nil, ""},
		{"both have the same", []identity.Token{one}, []identity.Token{one}, ""},
		{"the dialer has the new one too and the acceptor not yet", []identity.Token{two, one}, []identity.Token{one}, ""},
		{"the acceptor has the new one too and the dialer not yet", []identity.Token{one}, []identity.Token{two, one}, ""},
		{"different ones", []identity.Token{one}, []identity.Token{two, old}, "the invite token is not that of this cluster"},
		{"only the acceptor has one", nil, []identity.Token{one}, "this cluster asks for an invite token"},
		{"only the dialer has one", []identity.Token{one}, nil, "this cluster is open and takes no token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := start(t, withTokens(tc.dialer...)), start(t, withTokens(tc.acceptor...))
			_, err := a.Dial(t.Context(), b.url(), "", nil)
			if tc.refusal == "" {
				if err != nil {
					t.Fatal(err)
				}
				mustAsk(t, a, b.id, "let in")
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, tc.refusal) {
				t.Fatalf("dialer: %v; want %q", err, tc.refusal)
			}
			eventually(t, "both logs have the words", func() bool {
				return strings.Contains(a.log.String(), tc.refusal) && strings.Contains(b.log.String(), tc.refusal)
			})
			if !strings.Contains(b.log.String(), string(a.id)) {
				t.Error("the acceptor's log does not name the node that it refused")
			}
			if len(a.Peers()) != 0 || len(b.Peers()) != 0 {
				t.Error("there is a session")
			}
			for _, tok := range []identity.Token{one, two, old} {
				if strings.Contains(a.log.String()+b.log.String()+err.Error(), tok.String()) {
					t.Error("a token is in the log")
				}
			}
		})
	}
}

func TestTokensOfTheDialReplaceThoseOfTheConfiguration(t *testing.T) {
	tok := newToken(t)
	a, b := start(t, nil), start(t, withTokens(tok))
	if _, err := a.Dial(t.Context(), b.url(), "", []identity.Token{tok}); err != nil {
		t.Fatal(err)
	}
}

func TestAnAcceptorThatDoesNotProveTheTokenIsRefused(t *testing.T) {
	// Its own check is bypassed: it says that all is well, as an impostor would.
	a, b := start(t, withTokens(newToken(t))), start(t, nil)
	client, server := pipe(t)
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			conn := tls.Server(server, b.tls)
			h := &greeter{m: b.Manager, as: acceptor, conn: conn, secret: make([]byte, 32)}
			if _, err := h.receive(messageProof, 1+maxProofs*proofLength); err != nil {
				return err
			}
			if err := h.sendHello(message(nil, messageProof, make([]byte, proofLength))); err != nil {
				return err
			}
			_, err := h.receive(messageDone, 0)
			return err
		}()
	}()
	_, err := a.DialOver(t.Context(), client, "", nil)
	if err == nil || !strings.Contains(err.Error(), "did not prove the invite token") {
		t.Errorf("dialer: %v", err)
	}
	var refused *RefusedError
	if err := <-done; !errors.As(err, &refused) || !strings.Contains(refused.Reason, "did not prove") {
		t.Errorf("impostor: %v", err)
	}
}

// pipe is a TCP connection within this process.
func pipe(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

// recorder keeps what is written to a connection.
type recorder struct {
	net.Conn
	wrote bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.wrote.Write(p)
	return r.Conn.Write(p)
}

func TestAReplayedHandshakeIsRefused(t *testing.T) {
	tok := newToken(t)
	a, b := start(t, withTokens(tok)), start(t, withTokens(tok))
	client, server := pipe(t)
	rec := &recorder{Conn: client}
	accepted := make(chan error, 1)
	go func() { accepted <- b.Accept(t.Context(), server) }()
	if _, err := a.DialOver(t.Context(), rec, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	a.Drop(b.id, "enough")
	eventually(t, "gone", func() bool { return !b.Connected(a.id) && len(a.all()) == 0 })

	again, server := pipe(t)
	go func() { accepted <- b.Accept(t.Context(), server) }()
	if _, err := again.Write(rec.wrote.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err == nil || b.Connected(a.id) {
		t.Fatalf("the same bytes were accepted again: %v", err)
	}
}

func TestSomebodyInTheMiddleWhoPassesProofsOnIsRefused(t *testing.T) {
	tok := newToken(t)
	a, b, mallory := start(t, withTokens(tok)), start(t, withTokens(tok)), start(t, nil)
	aEnd, toA := pipe(t)
	toB, bEnd := pipe(t)
	go func() { // one TLS connection with each, and everything passed on
		withA, withB := tls.Server(toA, mallory.tls), tls.Client(toB, mallory.tls)
		if withA.Handshake() != nil || withB.Handshake() != nil {
			return
		}
		go func() { _, _ = io.Copy(withA, withB); _ = toA.Close() }()
		_, _ = io.Copy(withB, withA)
		_ = toB.Close()
	}()
	accepted := make(chan error, 1)
	go func() { accepted <- b.Accept(t.Context(), bEnd) }()
	_, err := a.DialOver(t.Context(), aEnd, "", nil)
	if err == nil {
		t.Error("the dialer has a session")
	}
	if err := <-accepted; err == nil {
		t.Error("the acceptor has a session")
	}
	if len(a.Peers())+len(b.Peers()) != 0 {
		t.Error("there is a session")
	}
}

func TestBadCertificatesAreRefused(t *testing.T) {
	b := start(t, nil)
	victim, mallory := newKey(t), newKey(t)
	good, err := mallory.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := victim.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	stolen.PrivateKey = good.PrivateKey
	two := good
	two.Certificate = [][]byte{good.Certificate[0], stolen.Certificate[0]}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ec.PublicKey, ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		certs []tls.Certificate
		alpn  []string
	}{
		"of another node, without its key": {[]tls.Certificate{stolen}, []string{alpn}},
		"none":                             {nil, []string{alpn}},
		"of another kind of key":           {[]tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: ec}}, []string{alpn}},
		"two of them":                      {[]tls.Certificate{two}, []string{alpn}},
		"for another protocol":             {[]tls.Certificate{good}, []string{"h2"}},
		"for no protocol":                  {[]tls.Certificate{good}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pipe(t)
			accepted := make(chan error, 1)
			go func() { accepted <- b.Accept(t.Context(), server) }()
			conn := tls.Client(client, &tls.Config{
				MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Certificates: tc.certs, NextProtos: tc.alpn,
			})
			_ = conn.Handshake() // may well succeed: the server judges afterwards
			_, _ = conn.Write(message(nil, messageProof, []byte{protocolVersion}))
			if err := <-accepted; err == nil || len(b.Peers()) != 0 {
				t.Fatalf("accepted: %v", err)
			}
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	b := start(t, nil)
	cert, err := newKey(t).Certificate()
	if err != nil {
		t.Fatal(err)
	}
	client, server := pipe(t)
	accepted := make(chan error, 1)
	go func() { accepted <- b.Accept(t.Context(), server) }()
	conn := tls.Client(client, &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}})
	if err := conn.Handshake(); err == nil {
		t.Error("TLS 1.2 was spoken")
	}
	if err := <-accepted; err == nil {
		t.Error("accepted")
	}
}

func TestDiallingOneselfIsErrSelf(t *testing.T) {
	a := start(t, nil)
	if _, err := a.Dial(t.Context(), a.url(), "", nil); !errors.Is(err, ErrSelf) {
		t.Fatalf("got %v", err)
	}
	if len(a.Peers()) != 0 {
		t.Fatal("there is a session")
	}
}

func TestAnotherNodeThanWantedIsErrIdentity(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	other := newKey(t).ID()
	_, err := a.Dial(t.Context(), b.url(), other, nil)
	if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), string(other)) || !strings.Contains(err.Error(), string(b.id)) {
		t.Fatalf("got %v", err)
	}
	eventually(t, "the acceptor gave up", func() bool { return b.unproven.Load() == 0 })
	if len(a.Peers())+len(b.Peers()) != 0 {
		t.Fatal("there is a session")
	}
}

func TestHelloIsJudgedByBothEnds(t *testing.T) {
	no := func(c *Config) {
		c.OnHello = func(peer identity.ID, hello []byte) error {
			if string(hello) != "card of "+string(peer) {
				return fmt.Errorf("hello is %q", hello)
			}
			return errors.New("that card is stale\x1b[31m")
		}
	}
	for name, who := range map[string]struct{ dialer, acceptor func(*Config) }{
		"the acceptor refuses": {nil, no}, "the dialer refuses": {no, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, who.dialer), start(t, who.acceptor)
			_, err := a.Dial(t.Context(), b.url(), "", nil)
			if err == nil || !strings.Contains(err.Error(), "that card is stale") {
				t.Fatalf("got %v", err)
			}
			eventually(t, "both logs have the words", func() bool {
				return strings.Contains(a.log.String(), "that card is stale") && strings.Contains(b.log.String(), "that card is stale")
			})
			if strings.Contains(a.log.String()+b.log.String(), "\x1b") {
				t.Error("a control character got into a log")
			}
			if len(a.Peers())+len(b.Peers()) != 0 {
				t.Error("there is a session")
			}
		})
	}
}

func TestHelloOverTheLimit(t *testing.T) {
	big := func(n int) func(*Config) {
		return func(c *Config) { c.Hello = func(identity.ID) []byte { return make([]byte, n) } }
	}
	a, b := start(t, big(MaxHello)), start(t, big(MaxHello))
	if p, err := a.Dial(t.Context(), b.url(), "", nil); err != nil || len(p.Hello) != MaxHello {
		t.Fatalf("at the limit: %v", err)
	}
	c := start(t, big(MaxHello+1))
	if _, err := c.Dial(t.Context(), b.url(), "", nil); err == nil {
		t.Fatal("over the limit: let in")
	}
}

func TestAnotherProtocolIsRefusedInWords(t *testing.T) {
	b := start(t, nil)
	cert, err := newKey(t).Certificate()
	if err != nil {
		t.Fatal(err)
	}
	client, server := pipe(t)
	accepted := make(chan error, 1)
	go func() { accepted <- b.Accept(t.Context(), server) }()
	conn := tls.Client(client, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}})
	h := &greeter{conn: conn}
	if err := h.send(nil, messageProof, []byte{2}); err != nil {
		t.Fatal(err)
	}
	_, err = h.receive(messageProof, proofLength)
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, "protocol 2") || !strings.Contains(refused.Reason, "protocol 1") || !strings.Contains(refused.Reason, "update caucus") {
		t.Errorf("dialer: %v", err)
	}
	if err := <-accepted; err == nil {
		t.Error("accepted")
	}
}

func TestATapSeesNothingInClearAndCannotChangeAnything(t *testing.T) {
	const secret = "5.1,3.5,1.4,0.2-and-a-long-marker"
	tok := newToken(t)
	a, b := start(t, withTokens(tok)), start(t, withTokens(tok))
	tap := newTap(t, b.url())
	if _, err := a.Dial(t.Context(), tap.url(), b.id, nil); err != nil {
		t.Fatal(err)
	}
	if got := mustAsk(t, a, b.id, secret); got != "re: "+secret {
		t.Fatalf("got %q", got)
	}
	if !tap.saw("GET /gossip") {
		t.Fatal("the tap saw nothing at all")
	}
	for _, s := range []string{secret, "card of", string(a.id), string(b.id), tok.String(), string(tok[:])} {
		if tap.saw(s) {
			t.Errorf("the tap saw %q", s)
		}
	}
	tap.flip.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := a.Ask(ctx, b.id, []byte(secret), nil)
	if !errors.Is(err, ErrNoSession) {
		t.Fatalf("a byte was changed on the way, and the answer is %q, %v", out, err)
	}
	eventually(t, "both ends have ended it", func() bool { return !a.Connected(b.id) && !b.Connected(a.id) })
}
