package cluster

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// vandal is a node with a key, a card and a session, and no manners.
type vandal struct {
	t        *testing.T
	who      *person
	sessions *session.Manager
}

func newVandal(t *testing.T, n *network, at *node) *vandal {
	t.Helper()
	v := &vandal{t: t, who: newPerson(t, "vandal")}
	card := v.who.card(t, 1)
	var err error
	v.sessions, err = session.New(session.Config{
		Key:         v.who.key,
		Tokens:      func(identity.ID) []identity.Token { return nil },
		Hello:       func(identity.ID) []byte { return append([]byte{helloVersion}, card.Signed...) },
		OnHello:     func(identity.ID, []byte) error { return nil },
		OnStream:    func(_ identity.ID, _ session.StreamKind, conn net.Conn) { conn.Close() },
		Responder:   responder{},
		DialContext: n.dialer("vandal"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.sessions.Close() })
	if err := v.come(at); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *vandal) come(at *node) error {
	ctx, cancel := context.WithTimeout(v.t.Context(), patience)
	defer cancel()
	_, err := v.sessions.Dial(ctx, at.url, at.id(), nil)
	return err
}

// send opens a stream and writes; what becomes of it is the other's to say.
func (v *vandal) send(at *node, kind session.StreamKind, b []byte) {
	ctx, cancel := context.WithTimeout(v.t.Context(), patience)
	defer cancel()
	conn, err := v.sessions.Open(ctx, at.id(), kind)
	if err != nil {
		return // cut off already
	}
	_, _ = conn.Write(b)
	conn.Close()
}

func framed(packets ...[]byte) []byte {
	var out []byte
	for _, p := range packets {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(p))), p...)
	}
	return out
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestF21MalformedGossip: a member sends what is no gossip, in every way there is. Nobody falls over, the
// members are what they were, and after some of it the sender is cut off, in words.
func TestF21MalformedGossip(t *testing.T) {
	t.Parallel()
	withSum := func(body []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{12}, crc32.ChecksumIEEE(body)), body...)
	}
	const ping, suspect, alive, dead, compound, user, compressed, label = 0, 3, 4, 5, 7, 8, 9, 244
	attacks := map[string]func() (session.StreamKind, []byte){
		"random packets": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed(append([]byte{200}, random(64)...))
		},
		"messages cut short": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed([]byte{ping}, []byte{suspect, 0xdf}, []byte{alive, 0x85, 0xa4}, []byte{dead, 0x82})
		},
		"a wrong checksum": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed(append([]byte{12}, random(40)...))
		},
		"a compound of more parts than there are": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed(withSum([]byte{compound, 255, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}))
		},
		"a compound whose parts are longer than it": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed(withSum(append([]byte{compound, 2, 0, 200, 0, 200}, random(20)...)))
		},
		"compressed nonsense": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed(withSum(append([]byte{compressed}, random(60)...)))
		},
		"another cluster's label": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed(append([]byte{label, 5}, "other-and-more"...))
		},
		"a packet of no bytes": func() (session.StreamKind, []byte) { return session.StreamPackets, []byte{0, 0, 1, 2} },
		"a packet over the limit": func() (session.StreamKind, []byte) {
			return session.StreamPackets, append([]byte{0xff, 0xff}, random(1000)...)
		},
		"an unknown stream message": func() (session.StreamKind, []byte) {
			return session.StreamGossip, append([]byte{99}, random(20)...)
		},
	}
	harmless := map[string]func() (session.StreamKind, []byte){ // nothing that says who sent it, or a stream that just ended
		"user messages that are none": func() (session.StreamKind, []byte) {
			return session.StreamPackets, framed(append([]byte{user}, random(100)...))
		},
		"a push/pull of nonsense": func() (session.StreamKind, []byte) {
			return session.StreamGossip, append([]byte{6}, random(500)...)
		},
		"a stream that ends":  func() (session.StreamKind, []byte) { return session.StreamGossip, nil },
		"half a packet":       func() (session.StreamKind, []byte) { return session.StreamPackets, []byte{0, 50, 1, 2, 3} },
		"a rotation of none":  func() (session.StreamKind, []byte) { return session.StreamTokens, random(30) },
		"evidence of none":    func() (session.StreamKind, []byte) { return session.StreamEvidence, random(300) },
		"a relay of none":     func() (session.StreamKind, []byte) { return session.StreamRelay, random(50) },
		"an unknown kind":     func() (session.StreamKind, []byte) { return 200, random(50) },
		"a dial-back of none": func() (session.StreamKind, []byte) { return session.StreamDialBack, random(50) },
	}
	n := newNetwork(t)
	nodes := n.cluster(3)
	digest, at := nodes[0].m.View().Digest, nodes[0]
	unchanged := func(when string) {
		t.Helper()
		for _, x := range nodes {
			for _, o := range nodes {
				if s := x.state(o); s != "alive" && s != "suspect" {
					t.Errorf("%s, %s has %s as %s", when, x.name, o.name, s)
				}
			}
			if x.m.View().Digest != digest || x.counted() != 3 {
				t.Errorf("%s, the roster of %s is another:\n%s", when, x.name, tell(nodes))
			}
		}
	}
	for name, attack := range harmless {
		v := newVandal(t, n, at)
		for range 10 {
			v.send(at, first(attack()), second(attack()))
		}
		eventually(t, "the session stands after "+name, func() bool { return v.sessions.Connected(at.id()) })
		v.sessions.Close()
	}
	unchanged("after what says nothing of its sender")
	for name, attack := range attacks {
		before := at.m.Malformed()
		v := newVandal(t, n, at)
		eventually(t, "the sender is cut off after "+name, func() bool {
			v.send(at, first(attack()), second(attack()))
			return at.m.Malformed() >= before+malformedAllowed && !v.sessions.Connected(at.id())
		})
		if err := v.come(at); err == nil || !strings.Contains(err.Error(), reasonMalformed) {
			t.Errorf("%s: it comes back, or is not told why it may not: %v", name, err)
		}
		v.sessions.Close()
		unchanged("after " + name)
	}
	eventually(t, "all decide as before", func() bool { return nodes[0].decides() && nodes[1].decides() && nodes[2].decides() })
	if !strings.Contains(at.log.String(), "cut off for a while") {
		t.Error("the log does not say that anybody was cut off")
	}
}

func first[A, B any](a A, _ B) A  { return a }
func second[A, B any](_ A, b B) B { return b }
