package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"

	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/cluster/session"
)

// invite dials one invite until it has brought this node into gossip, or turned out to be this node.
func (m *Membership) invite(ctx context.Context, inv identity.Invite) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	var tokens []identity.Token
	if inv.Token != nil {
		m.mu.Lock()
		// A line pasted long ago may have a token that was replaced since: what this node knows now is better.
		if !m.rotation.holds(*inv.Token) {
			tokens = []identity.Token{*inv.Token}
		}
		m.mu.Unlock()
	}
	said := ""
	m.invited(inv.Address, nil, false)
	for wait := dialFirst; ; wait = min(time.Duration(float64(wait)*inviteGrows), dialLast) {
		err := m.tryInvite(ctx, inv.Address, tokens)
		switch {
		case err == nil:
			m.invited(inv.Address, nil, true)
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, session.ErrSelf):
			m.log.Debug("invite dropped: it leads to this node", "address", inv.Address)
			m.mu.Lock()
			delete(m.invites, inv.Address)
			m.seeds--
			m.aloneLocked()
			m.publishLocked()
			m.wakeLocked()
			m.mu.Unlock()
			return
		}
		m.invited(inv.Address, err, false)
		if why := explainInvite(err); why != said {
			said = why
			var refused *session.RefusedError
			if errors.Is(err, session.ErrTwin) {
				m.log.Error("the node at the invite's address has the key of this one; still trying", "address", inv.Address, "why", reasonTwin)
			} else if errors.As(err, &refused) {
				m.log.Warn("refused by the node at the invite's address; still trying", "address", inv.Address, "reason", printable(refused.Reason, 200))
			} else {
				m.log.Info("nobody joined at the invite's address yet; still trying", "address", inv.Address, "error", printable(err.Error(), 300))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(m.patience(wait))):
		}
	}
}

// patience is how long to wait where others would wait for d: a node that was removed has reason to wait longer.
func (m *Membership) patience(d time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.roster.isRemoved(m.self) {
		return m.timing.of(removedRetry)
	}
	return d
}

// Trouble returns why the last attempt at each invite that has led nowhere failed, in words; empty if none did.
func (m *Membership) Trouble() string {
	var all []string
	for _, s := range m.Invites() {
		switch {
		case s.Joined || s.Reason == "":
		case s.Refused:
			all = append(all, (&session.RefusedError{Reason: s.Reason}).Error())
		default:
			all = append(all, s.Reason)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "; ")
}

// InviteState is what has become of one address that this node was told to join.
type InviteState struct {
	Address string
	Joined  bool
	Refused bool      // a node answered there and refused this one
	Since   time.Time // of the first attempt
	Reason  string    // of the last failure, in words
}

// Invites returns what has become of the addresses that this node was told to join, sorted, but for those that led
// to itself.
func (m *Membership) Invites() []InviteState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.invites), func(a, b InviteState) int { return strings.Compare(a.Address, b.Address) })
}

// invited notes what came of an attempt to join an address.
func (m *Membership) invited(address string, err error, joined bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.invites == nil {
		m.invites = make(map[string]InviteState)
	}
	s, known := m.invites[address]
	if !known {
		s = InviteState{Address: address, Since: m.now()}
	}
	s.Joined = joined
	if err != nil {
		var refused *session.RefusedError
		if s.Refused = errors.As(err, &refused); s.Refused {
			s.Reason = printable(refused.Reason, 200)
		} else {
			s.Reason = printable(strings.TrimPrefix(err.Error(), "session: "), 300)
		}
	}
	m.invites[address] = s
}

// explainInvite is what makes a reason differ from the last.
func explainInvite(err error) string {
	var refused *session.RefusedError
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return explain(err)
}

// tryInvite dials every address of an invite and joins those that answer; one is enough.
func (m *Membership) tryInvite(ctx context.Context, address string, tokens []identity.Token) error {
	urls, isName, err := resolveInvite(ctx, address)
	if err != nil {
		return err
	}
	var errs []error
	joined := false
	for _, url := range urls {
		err := m.joinURL(reach.WithTrust(ctx, reach.Typed), url, tokens)
		switch {
		case err == nil:
			joined = true // but go on: gossip would bring the others too, only later
		case isName && errors.Is(err, session.ErrSelf):
			// One of many behind a name is this node; the others may only come.
			errs = append(errs, fmt.Errorf("cluster: this node is behind %s itself", strings.TrimPrefix(address, "dns+")))
		default:
			errs = append(errs, err)
		}
	}
	if joined {
		return nil
	}
	return errors.Join(errs...)
}

// joinURL opens a session to a URL and exchanges state with whoever answers.
func (m *Membership) joinURL(ctx context.Context, url string, tokens []identity.Token) error {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	peer, err := m.sessions.Dial(ctx, url, "", tokens)
	if err != nil {
		return err
	}
	return m.joinDialled(peer.ID)
}

// joinDialled exchanges state with a node that was dialled to be joined.
func (m *Membership) joinDialled(id identity.ID) error {
	// The card that the others are about to get had better have this node's URL already.
	m.locator.pass(m.now())
	if err := m.locator.apply(); err != nil {
		return err
	}
	return m.joinGossip(id)
}

// resolveInvite returns the base URLs that an invite's address stands for, and whether it is a name with many.
func resolveInvite(ctx context.Context, address string) (urls []string, isName bool, err error) {
	hostport, isName := strings.CutPrefix(address, "dns+")
	if !isName {
		return []string{address}, false, nil
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, true, fmt.Errorf("cluster: the invite %q: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, true, fmt.Errorf("cluster: cannot look up %s: %w", host, err)
	}
	for _, a := range addrs {
		urls = append(urls, "http://"+net.JoinHostPort(a, port))
	}
	return urls, true, nil
}

// printable makes text of a peer safe to log and to show.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
