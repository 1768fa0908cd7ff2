// Package evidence is the replicated log of labelled rows from which weights are
// learnt. A record says: this origin learnt this label for this row, and these are
// the votes that the members signed on it. Records of one origin form hash chains;
// every node keeps the same part of every chain; so equal heads mean equal
// evidence, and equal evidence gives equal weights on every node.
//
// Nothing here trusts the node that hands a record on: a record carries its
// origin's signature and its voters', and is checked alone (Record.Verify) and in
// its chain (Log.Receive). DESIGN.md beside this file has the format, the rules of
// merging, the bounds, and what the package does not do.
//
// The log has no connection of its own. Its owner hands it the heads that others
// sent (Compare), their broadcasts (HandleBroadcast) and streams to them (Sync,
// Serve), and sends the broadcasts that it makes (Config.Broadcast).
package evidence

import "errors"

// Limits. They are part of the format: every node must hold to the same, or two
// nodes would keep different parts of one chain.
const (
	MaxRecord     = 64 << 10 // bytes of an encoded record
	MaxVotes      = 256      // votes in a record
	MaxClasses    = 1000     // labels of a task
	MaxKept       = 1000     // records kept of a chain; older ones no longer count anywhere
	MaxChainBytes = 4 << 20  // bytes kept of a chain
	MaxEpochs     = 4        // chains kept of an origin (see DESIGN.md, "Epochs")
	MaxOrigins    = 256      // origins kept, the excluded ones included
	MaxBroadcast  = 500      // bytes of a broadcast: gossip's 512 less what the owner may put before it
)

// One is a whole, in the millionths in which probabilities are given.
const One = 1_000_000

// Sentinels that callers branch on.
var (
	// ErrRecord is wrapped by every reason why a record is no valid record.
	ErrRecord = errors.New("evidence: bad record")
	// ErrProof is wrapped by every reason why a proof proves nothing.
	ErrProof = errors.New("evidence: bad proof")
	// ErrHeads says that bytes are no vector of heads.
	ErrHeads = errors.New("evidence: bad heads")
	// ErrTask says that the other side's evidence is of another task.
	ErrTask = errors.New("evidence: another task")
	// ErrExcluded says that this node's own chain has a proven fork.
	ErrExcluded = errors.New("evidence: this node's own chain of evidence forked, so its labels count nowhere")
	// ErrRefused is wrapped when a record is valid and yet not taken.
	ErrRefused = errors.New("evidence: refused")
	// ErrStore is wrapped when a file cannot be read or written.
	ErrStore = errors.New("evidence: store")
	// ErrInUse says that another process has the file open.
	ErrInUse = errors.New("evidence: the store is in use by another process")
	// ErrSync is wrapped when an exchange with a peer fails.
	ErrSync = errors.New("evidence: exchange failed")
	// ErrBusy says that the peer has enough exchanges under way.
	ErrBusy = errors.New("evidence: the peer is busy with other exchanges")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("evidence: closed")
)
