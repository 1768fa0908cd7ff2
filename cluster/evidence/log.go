package evidence

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"caucus/cluster/identity"
)

// Config says whose log this is and what it is about. Zero values mean defaults
// where one is named.
type Config struct {
	Key      *identity.Key
	Task     [32]byte // digest of the task; records of others are refused
	Classes  int      // labels of the task
	StateDir string   // evidence.db is kept here; empty: in memory
	From     Policy   // whose labels count, default: members'

	// Broadcast spreads a message of at most MaxBroadcast bytes to all members. It is
	// called without locks held and must not block; nil: nothing is spread.
	Broadcast func(msg []byte)
	// MaxBytes bounds the records of all origins together, default 256 MiB. Beyond it
	// nothing of others is taken any more (see DESIGN.md, "Bounds").
	MaxBytes uint64
	// SyncTimeout bounds an exchange as a whole, default 60 s; IdleTimeout each step of it, default 10 s.
	SyncTimeout time.Duration
	IdleTimeout time.Duration

	Now func() time.Time // the clock of epochs and of set-aside files' names, default time.Now
	Log *slog.Logger     // nil: discard
}

// Log is the evidence that one node holds. All its methods may be called from
// several goroutines at once. Readers use Snapshot and take no lock.
type Log struct {
	cfg      Config
	self     identity.ID
	log      *slog.Logger
	store    store
	setAside string
	syncs    chan struct{} // places for exchanges that others began

	snapshot  atomic.Pointer[Snapshot]
	unwritten atomic.Uint64         // commits that failed
	broken    atomic.Pointer[error] // why the last one did; nil: it did not

	mu      sync.Mutex              // guards those to closed; held while the store commits
	origins map[identity.ID]*origin // each value immutable
	members map[identity.ID]bool    // who is a member; nil: everybody
	bytes   uint64                  // of all origins
	clock   uint64                  // highest Lamport time seen and believed
	epoch   uint64                  // of this node's own chain; 0: none yet
	closed  bool

	watch   sync.Mutex    // guards changed: one that waits for the disk must not hold up who only asks
	changed chan struct{} // closed at the next snapshot
}

const (
	defaultMaxBytes    = 256 << 20
	defaultSyncTimeout = 60 * time.Second
	defaultIdleTimeout = 10 * time.Second
	maxServed          = 4 // exchanges begun by others at one time
)

// Open opens the log in cfg.StateDir, or makes it. A damaged file is set aside (see
// SetAside) and a fresh one begun, which exchanges with peers fill again.
func Open(cfg Config) (*Log, error) {
	switch {
	case cfg.Key == nil:
		return nil, errors.New("evidence: a log needs the node's key")
	case cfg.Classes < 1 || cfg.Classes > MaxClasses:
		return nil, fmt.Errorf("evidence: a task has 1 to %d classes, got %d", MaxClasses, cfg.Classes)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.SyncTimeout == 0 {
		cfg.SyncTimeout = defaultSyncTimeout
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdleTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Broadcast == nil {
		cfg.Broadcast = func([]byte) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		cfg: cfg, self: cfg.Key.ID(), log: cfg.Log,
		syncs: make(chan struct{}, maxServed), changed: make(chan struct{}),
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	l.publish()
	return l, nil
}

// open opens the store and reads it, setting a damaged one aside once.
func (l *Log) open() error {
	if l.cfg.StateDir == "" {
		l.store = newMemStore()
		return l.load()
	}
	if err := os.MkdirAll(l.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("%w: make the state folder: %w", ErrStore, err)
	}
	damage := l.openFile()
	if !errors.Is(damage, errDamaged) {
		return damage
	}
	path := filepath.Join(l.cfg.StateDir, fileName)
	aside := path + ".corrupt-" + l.cfg.Now().UTC().Format("20060102T150405.000Z")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%w: %s is damaged (%v) and cannot be set aside: %w; move it away by hand", ErrStore, path, damage, err)
	}
	l.setAside = aside
	l.log.Warn("the evidence on disk is damaged; it was set aside and will be rebuilt from the other members",
		"file", path, "aside", aside, "damage", damage.Error())
	return l.openFile()
}

func (l *Log) openFile() error {
	s, err := openBolt(l.cfg.StateDir, l.cfg.Task, l.self)
	if err != nil {
		return err
	}
	l.store = s
	if err := l.load(); err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// Unwritten returns how many changes could not be written, and why the last one was not, nil if it was.
func (l *Log) Unwritten() (times uint64, last error) {
	if err := l.broken.Load(); err != nil {
		last = *err
	}
	return l.unwritten.Load(), last
}

// SetAside returns the path to which a damaged file was moved when the log was opened, or "".
func (l *Log) SetAside() string { return l.setAside }

// Close closes the store. Exchanges under way fail; snapshots stay good.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if err := l.store.close(); err != nil {
		return fmt.Errorf("%w: close: %w", ErrStore, err)
	}
	return nil
}

// Snapshot returns what the log holds now. It takes no lock.
func (l *Log) Snapshot() *Snapshot { return l.snapshot.Load() }

// Changed returns a channel that is closed when the next snapshot is there. Take it
// before the snapshot, or a change between the two goes unnoticed.
func (l *Log) Changed() <-chan struct{} {
	l.watch.Lock()
	defer l.watch.Unlock()
	return l.changed
}

// SetMembers says who is a member: whose records are taken, and whose labels count
// under FromMembers. This node itself always is one. Until the first call everybody
// is. It may wait for the disk: do not call it under gossip's locks.
func (l *Log) SetMembers(ids []identity.ID) {
	members := make(map[identity.ID]bool, len(ids))
	for _, id := range ids {
		members[id] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.members != nil && maps.Equal(l.members, members) {
		return
	}
	l.members = members
	l.publish()
}

// admits reports whether records of an origin are taken. l.mu is held.
func (l *Log) admits(id identity.ID) bool { return l.cfg.From.admits(id, l.self, l.members) }

// believed is the highest Lamport time of others that a node follows. A labeller may
// sign any time below maxCount; were it followed there, nobody could ever be later.
const believed = maxCount / 2

// believe moves the clock on. l.mu is held.
func (l *Log) believe(t uint64) { l.clock = max(l.clock, min(t, believed)) }

// publish makes a snapshot of the state. l.mu is held (or nobody else has l yet).
func (l *Log) publish() {
	l.snapshot.Store(newSnapshot(l))
	l.watch.Lock()
	defer l.watch.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}
