package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// Rotation of the token: a member is given a new one and tells the others, each over a session that both ends have
// proved. The old one is good for a while, so that who is away comes back with it and is told; then it is not.
//
// A rotation travels on a StreamTokens stream, and lies on disk, as
//
//	version u8 = 2 | epoch u64 | count u8, 1 to 4 | (until u64, Unix seconds, 0: no end | flags u8 | token 32 bytes)...
//
// the token to use first; bit 0 of the flags: it lets only those in who are or were members. Version 1 has no flags. Of
// two rotations the one with the higher epoch holds. On a stream the removals follow (see removal.go): whoever learns
// of a token learns first to whom it must not be told.
const (
	rotationVersion = 2
	maxHeld         = 4 // as many as a session proves
	rotationHead    = 1 + 8 + 1
	heldBytes       = 8 + 1 + 32
	heldMembersOnly = 1

	// maxEpochAhead is how far the clocks of two members may differ. An epoch beyond it would keep everybody from ever
	// rotating again.
	maxEpochAhead = time.Hour

	tellTokensWithin = 5 * time.Second
)

var errRotation = errors.New("cluster: malformed rotation of the token")

// rotation is the tokens after one. The zero value: there was none.
type rotation struct {
	epoch uint64 // when it was made, Unix milliseconds
	held  []heldToken
}

type heldToken struct {
	token identity.Token
	until time.Time // zero: no end
	// membersOnly: it is accepted from those who are or were members, and from no newcomer.
	membersOnly bool
}

// holds reports whether the rotation knows a token, good or not any more.
func (r rotation) holds(t identity.Token) bool {
	return slices.ContainsFunc(r.held, func(h heldToken) bool { return h.token == t })
}

func (r rotation) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{rotationVersion}, r.epoch)
	b = append(b, byte(len(r.held)))
	for _, h := range r.held {
		until := uint64(0)
		if !h.until.IsZero() {
			until = uint64(h.until.Unix())
		}
		var flags byte
		if h.membersOnly {
			flags = heldMembersOnly
		}
		b = append(append(binary.BigEndian.AppendUint64(b, until), flags), h.token[:]...)
	}
	return b
}

// parseRotation reads a rotation and returns what follows it.
func parseRotation(b []byte) (r rotation, rest []byte, err error) {
	if len(b) < rotationHead || b[0] != 1 && b[0] != rotationVersion {
		return rotation{}, nil, errRotation
	}
	size := heldBytes
	if b[0] == 1 {
		size--
	}
	r.epoch = binary.BigEndian.Uint64(b[1:])
	n, rest := int(b[9]), b[rotationHead:]
	if n < 1 || n > maxHeld || len(rest) < n*size || r.epoch == 0 {
		return rotation{}, nil, errRotation
	}
	for ; n > 0; n, rest = n-1, rest[size:] {
		h := heldToken{token: identity.Token(rest[size-32 : size])}
		if size == heldBytes {
			if rest[8]&^heldMembersOnly != 0 {
				return rotation{}, nil, errRotation
			}
			h.membersOnly = rest[8] == heldMembersOnly
		}
		if until := binary.BigEndian.Uint64(rest); until != 0 {
			if until > 1<<40 {
				return rotation{}, nil, errRotation
			}
			h.until = time.Unix(int64(until), 0)
		}
		r.held = append(r.held, h)
	}
	if first := r.held[0]; !first.until.IsZero() || first.membersOnly {
		return rotation{}, nil, errRotation
	}
	return r, rest, nil
}

// tokensFor are those that are proved to a peer and accepted from it now, the one to use first. To one that was removed
// they are all that ever were: it gets nothing for it but the word that it was removed (see hello).
func (m *Membership) tokensFor(peer identity.ID) []identity.Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if m.roster.isRemoved(peer) {
		now = time.Time{}
	}
	return m.tokensLocked(now, m.roster.knows(peer) || m.roster.isRemoved(peer))
}

// tokensLocked are those that are good now, for members or for anybody.
func (m *Membership) tokensLocked(now time.Time, member bool) []identity.Token {
	if m.rotation.epoch == 0 {
		return m.tokens
	}
	// A token that the rotation does not know came from a person since.
	var tokens []identity.Token
	for _, t := range m.tokens {
		if !m.rotation.holds(t) {
			tokens = append(tokens, t)
		}
	}
	for _, h := range m.rotation.held {
		if (h.until.IsZero() || now.Before(h.until)) && (member || !h.membersOnly) {
			tokens = append(tokens, h.token)
		}
	}
	return tokens
}

// Tokens are those that let anybody in now, the one to use first; none: the cluster is open.
func (m *Membership) Tokens() []identity.Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokensLocked(m.now(), false)
}

// ErrOpenCluster says that there is no token to replace.
var ErrOpenCluster = errors.New("cluster: it is open: there is no token to replace")

// ErrNotAlone says that others are in the open cluster, who would be shut out by a token.
var ErrNotAlone = errors.New("cluster: others are in it without a token")

// Protect gives an open cluster its first token, which only a node that is alone in it can do: others would be shut
// out. With a token already, it does nothing.
func (m *Membership) Protect(t identity.Token) error {
	m.mu.Lock()
	switch {
	case m.stopped || m.leaving:
		m.mu.Unlock()
		return ErrStopped
	case len(m.tokensLocked(m.now(), true)) > 0:
		m.mu.Unlock()
		return nil
	}
	alone := m.seeds == 0 && len(m.sessions.Peers()) == 0
	for id, e := range m.roster.entries {
		alone = alone && (id == m.self || e.card.Leaving)
	}
	if alone {
		m.tokens = []identity.Token{t}
	}
	m.mu.Unlock()
	if !alone {
		return ErrNotAlone
	}
	m.log.Info("this node has a token from now on")
	m.tokensChanged()
	return nil
}

// Rotate makes t the cluster's token. Those until now are good for keep longer, or, with membersOnly, good for those
// who are or were members and were not removed. The members with a session are told at once, the others when they
// come back, if they do within keep.
func (m *Membership) Rotate(t identity.Token, keep time.Duration, membersOnly bool) error {
	now := m.now()
	m.mu.Lock()
	old := m.tokensLocked(now, true)
	switch {
	case m.stopped || m.leaving:
		m.mu.Unlock()
		return ErrStopped
	case len(old) == 0:
		m.mu.Unlock()
		return ErrOpenCluster
	}
	until := now.Add(keep)
	next := rotation{epoch: max(uint64(now.UnixMilli()), m.rotation.epoch+1), held: []heldToken{{token: t}}}
	add := func(h heldToken) {
		if len(next.held) < maxHeld && !next.holds(h.token) {
			next.held = append(next.held, h)
		}
	}
	// Also those whose time is over, as marks: somebody may start with one from an old environment.
	for _, h := range m.rotation.held {
		if h.until.IsZero() || h.until.After(until) {
			h.until = until
		}
		h.membersOnly = h.membersOnly || membersOnly
		add(h)
	}
	for _, o := range old {
		add(heldToken{token: o, until: until, membersOnly: membersOnly})
	}
	m.adoptLocked(next)
	m.mu.Unlock()
	m.log.Info("the token was replaced", "old_until", until.UTC().Format(time.RFC3339), "members_only", membersOnly)
	m.tokensChanged()
	return nil
}

// adoptLocked makes a rotation the one that holds.
func (m *Membership) adoptLocked(next rotation) {
	m.rotation = next
	m.kick(m.kickSave)
}

// tellOfTokens tells the configuration which tokens are good, if they are others than those it
// knows: also when the time of one is over, for what is derived from it must open nothing more.
func (m *Membership) tellOfTokens() {
	m.told.Lock()
	defer m.told.Unlock()
	tokens := m.Tokens()
	if slices.Equal(tokens, m.told.tokens) {
		return
	}
	m.told.tokens = tokens
	if m.cfg.OnTokens != nil {
		m.cfg.OnTokens(tokens)
	}
}

// toldTokens are the tokens that the configuration knows of. The lock is held while it is told.
type toldTokens struct {
	sync.Mutex
	tokens []identity.Token
}

// tokensChanged tells those who are to know.
func (m *Membership) tokensChanged() {
	m.tellOfTokens()
	for _, p := range m.sessions.Peers() {
		m.run(func() { m.tellTokens(p.ID) })
	}
}

// tellTokens tells one member of the rotation, if there was one.
func (m *Membership) tellTokens(id identity.ID) {
	m.mu.Lock()
	r, e := m.rotation, m.roster.entries[id]
	removals := appendRemovals(nil, m.roster.removals)
	m.mu.Unlock()
	if r.epoch == 0 || e == nil || e.card.Leaving {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, tellTokensWithin)
	defer cancel()
	conn, err := m.sessions.Open(ctx, id, session.StreamTokens)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(tellTokensWithin)) // never fails
		_, err = conn.Write(append(r.encode(), removals...))
		conn.Close()
	}
	if err != nil {
		m.log.Debug("a member was not told of the new token", "member", id, "error", err)
	}
}

// hearTokens takes a rotation that a member tells.
func (m *Membership) hearTokens(peer identity.ID, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(tellTokensWithin)) // never fails
	b, err := io.ReadAll(io.LimitReader(conn, rotationHead+maxHeld*heldBytes+maxRemovals*(2+identity.MaxRemoval)+1))
	if err != nil {
		return
	}
	r, rest, err := parseRotation(b)
	var removals []identity.Removal
	if err == nil {
		var raw [][]byte
		if raw, err = splitRemovals(rest); err == nil {
			removals, err = m.verifyRemovals(raw)
		}
	}
	if err == nil && r.epoch > uint64(m.now().Add(maxEpochAhead).UnixMilli()) {
		err = errors.New("cluster: a rotation of the token from the future; is the clock of one of the two wrong?")
	}
	if err != nil {
		m.log.Warn("what a member says of the token is not taken", "member", peer, "error", err)
		return
	}
	m.mu.Lock()
	e := m.roster.entries[peer]
	if e != nil {
		m.hearRemovalsLocked(removals) // before anybody is told of the token
	}
	news := e != nil && !e.card.Leaving && r.epoch > m.rotation.epoch && len(m.tokensLocked(m.now(), true)) > 0
	if news {
		m.adoptLocked(r)
	}
	m.mu.Unlock()
	if news {
		m.log.Info("the token was replaced by a member", "member", peer)
		m.tokensChanged()
	}
}
