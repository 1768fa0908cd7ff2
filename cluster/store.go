package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"caucus/cluster/identity"
)

// storeFile is the name of the file in the state folder.
const storeFile = "caucus.db"

// lockWithin is how long an open waits for another process to let go of the file, so that
// a restart that overlaps with the end of its predecessor succeeds.
const lockWithin = time.Second

var (
	bucketMeta  = []byte("meta")
	bucketCards = []byte("cards") // id -> enrolled u64, signed card
	bucketTombs = []byte("tombstones")
	bucketOut   = []byte("removals") // id -> signed removal

	keySequence = []byte("sequence") // of this node's last card
	keyEverPeer = []byte("ever-peer")
	keyRotation = []byte("tokens") // see rotation
)

// store is the roster on disk. A nil store keeps nothing.
type store struct {
	db   *bbolt.DB
	last saved // as it is on disk

	aside string // where a damaged file was moved to when it was opened, or ""
}

// saved is all that is kept.
type saved struct {
	sequence uint64
	everPeer bool
	rotation rotation
	cards    map[identity.ID][]byte // enrolled u64, signed card
	tombs    map[identity.ID]tombstone
	removals map[identity.ID]identity.Removal
}

func newSaved() saved {
	return saved{
		cards: make(map[identity.ID][]byte), tombs: make(map[identity.ID]tombstone),
		removals: make(map[identity.ID]identity.Removal),
	}
}

// openStore opens or makes dir/caucus.db. A damaged file is set aside and a new one begun: the roster can be
// learnt again (the key, which cannot, is in a file of its own). A file that another process holds is ErrStateInUse.
func openStore(dir string, log *slog.Logger) (*store, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cluster: cannot make the state folder: %w", err)
	}
	path := filepath.Join(dir, storeFile)
	s, err := tryStore(path)
	if err == nil {
		return s, nil
	}
	if !errors.Is(err, errDamaged) {
		return nil, err
	}
	aside := path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("cluster: %s is damaged and cannot be set aside: %w", path, err)
	}
	log.Warn("the roster on disk is damaged; it was set aside and is learnt again from the others", "file", path, "aside", aside, "error", err)
	if s, err = tryStore(path); err == nil {
		s.aside = aside
	}
	return s, err
}

var errDamaged = errors.New("damaged")

func tryStore(path string) (s *store, err error) {
	var db *bbolt.DB
	// bbolt panics on some damaged pages, and reads past the end of a file that was cut short, which is a fault
	// of the memory map: as panics both can be told of.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("cluster: %s is %w: %v", path, errDamaged, p)
		}
		if err != nil && db != nil {
			db.Close()
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWithin})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s; stop that process, or give this node a folder of its own with --state-dir", ErrStateInUse, filepath.Dir(path))
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("cluster: cannot open %s: %w; make it writable for this user, or choose another folder with --state-dir", path, err)
	case err != nil && isDamage(err):
		return nil, fmt.Errorf("cluster: %s is %w: %v", path, errDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("cluster: cannot open %s: %w", path, err)
	}
	s = &store{db: db}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketMeta, bucketCards, bucketTombs, bucketOut} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: cannot write %s: %w", path, err)
	}
	if err = db.View(s.read); err != nil {
		return nil, fmt.Errorf("cluster: %s is %w: %v", path, errDamaged, err)
	}
	return s, nil
}

func isDamage(err error) bool {
	return errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrVersionMismatch) ||
		errors.Is(err, bolterrors.ErrChecksum) || strings.HasPrefix(err.Error(), "file size too small")
}

// read fills s.last from the file and checks the form of all it finds.
func (s *store) read(tx *bbolt.Tx) error {
	s.last = newSaved()
	meta := tx.Bucket(bucketMeta)
	if b := meta.Get(keySequence); b != nil {
		if len(b) != 8 {
			return fmt.Errorf("the sequence has %d bytes", len(b))
		}
		s.last.sequence = binary.BigEndian.Uint64(b)
	}
	s.last.everPeer = meta.Get(keyEverPeer) != nil
	if b := meta.Get(keyRotation); b != nil {
		var err error
		var rest []byte
		if s.last.rotation, rest, err = parseRotation(b); err != nil || len(rest) > 0 {
			return errRotation
		}
	}
	err := tx.Bucket(bucketCards).ForEach(func(k, v []byte) error {
		id, err := identity.ParseID(string(k))
		if err != nil || len(v) < 8 {
			return errors.New("a card's entry is cut short")
		}
		s.last.cards[id] = append([]byte(nil), v...)
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket(bucketOut).ForEach(func(k, v []byte) error {
		x, err := identity.ParseRemoval(v)
		if err == nil && string(x.ID) != string(k) {
			err = errors.New("a removal is of another node")
		}
		s.last.removals[x.ID] = x
		return err
	})
	if err != nil {
		return err
	}
	return tx.Bucket(bucketTombs).ForEach(func(k, v []byte) error {
		id, err := identity.ParseID(string(k))
		if err != nil || len(v) != 16 {
			return errors.New("a tombstone is cut short")
		}
		s.last.tombs[id] = tombstone{sequence: binary.BigEndian.Uint64(v), at: time.Unix(int64(binary.BigEndian.Uint64(v[8:])), 0)}
		return nil
	})
}

// write brings the file to next. Only what differs is written.
func (s *store) write(next saved) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil { // a page that was damaged since the file was opened
			err = fmt.Errorf("cluster: cannot save the roster: %v", p)
		}
	}()
	err = s.db.Update(func(tx *bbolt.Tx) error {
		meta, cards, tombs, out := tx.Bucket(bucketMeta), tx.Bucket(bucketCards), tx.Bucket(bucketTombs), tx.Bucket(bucketOut)
		if next.sequence != s.last.sequence {
			if err := meta.Put(keySequence, binary.BigEndian.AppendUint64(nil, next.sequence)); err != nil {
				return err
			}
		}
		if next.everPeer && !s.last.everPeer {
			if err := meta.Put(keyEverPeer, []byte{1}); err != nil {
				return err
			}
		}
		if next.rotation.epoch != s.last.rotation.epoch {
			if err := meta.Put(keyRotation, next.rotation.encode()); err != nil {
				return err
			}
		}
		for id, v := range next.cards {
			if string(s.last.cards[id]) != string(v) {
				if err := cards.Put([]byte(id), v); err != nil {
					return err
				}
			}
		}
		for id := range s.last.cards {
			if _, still := next.cards[id]; !still {
				if err := cards.Delete([]byte(id)); err != nil {
					return err
				}
			}
		}
		for id, t := range next.tombs {
			if s.last.tombs[id].sequence != t.sequence {
				v := binary.BigEndian.AppendUint64(nil, t.sequence)
				v = binary.BigEndian.AppendUint64(v, uint64(t.at.Unix()))
				if err := tombs.Put([]byte(id), v); err != nil {
					return err
				}
			}
		}
		for id := range s.last.tombs {
			if _, still := next.tombs[id]; !still {
				if err := tombs.Delete([]byte(id)); err != nil {
					return err
				}
			}
		}
		for id, x := range next.removals {
			if !bytes.Equal(s.last.removals[id].Signed, x.Signed) {
				if err := out.Put([]byte(id), x.Signed); err != nil {
					return err
				}
			}
		}
		for id := range s.last.removals {
			if _, still := next.removals[id]; !still {
				if err := out.Delete([]byte(id)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cluster: cannot save the roster: %w", err)
	}
	s.last = next
	return nil
}

func (s *store) close() error { return s.db.Close() }
