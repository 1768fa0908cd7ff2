package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"caucus/cluster/identity"
)

// fileName is the store's name in the state folder.
const fileName = "evidence.db"

// The file: for each task a bucket (taskPrefix and the task's digest), in it
//
//	records  id 32 | epoch u64 | sequence u64 -> the encoded record
//	proofs   id 32 -> the encoded proof
//	meta     "epoch " and id 32 -> epoch u64 of the chain that this node writes
//
// with integers big-endian, so that keys are in the order of chain and sequence.
var (
	taskPrefix    = []byte("evidence v1 ")
	recordsBucket = []byte("records")
	proofsBucket  = []byte("proofs")
	metaBucket    = []byte("meta")
)

// errDamaged says that the file is there and is no good.
var errDamaged = errors.New("damaged")

type boltStore struct {
	db   *bbolt.DB
	task []byte // name of the task's bucket
	self identity.ID
}

var _ store = (*boltStore)(nil)

// openBolt opens the store in dir, or makes it. ErrInUse if another process has it;
// errDamaged if the file is no good.
func openBolt(dir string, task [32]byte, self identity.ID) (*boltStore, error) {
	path := filepath.Join(dir, fileName)
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s; end that process, or choose another state folder", ErrInUse, path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w: %s cannot be opened by this user; give this user the file, or choose another state folder: %w", ErrStore, path, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, errDamaged):
		return nil, fmt.Errorf("%w: %v", errDamaged, err)
	case err != nil:
		// Whatever else bbolt says of a file that is there and too short to be one.
		if info, serr := os.Stat(path); serr == nil && info.Mode().IsRegular() && info.Size() > 0 && info.Size() < 8<<10 {
			return nil, fmt.Errorf("%w: %v", errDamaged, err)
		}
		return nil, fmt.Errorf("%w: open %s: %w", ErrStore, path, err)
	}
	s := &boltStore{db: db, task: append(bytes.Clone(taskPrefix), task[:]...), self: self}
	if err := s.check(path); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// check looks for damage before anything is read that rests on it.
func (s *boltStore) check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	return guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			// Pages beyond the file's end are mapped all the same, and reading them kills the process.
			if tx.Size() > info.Size() {
				return fmt.Errorf("%w: it has %d bytes and should have %d", errDamaged, info.Size(), tx.Size())
			}
			// The channel must be read to its end, or the checking goroutine stays.
			var first error
			for err := range tx.Check() {
				if first == nil {
					first = fmt.Errorf("%w: %v", errDamaged, err)
				}
			}
			return first
		})
	})
}

// guard turns a panic of bbolt's on damaged pages, and a fault in the file's mapping, into errDamaged.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f()
}

func (s *boltStore) epochKey() []byte { return append([]byte("epoch "), s.self...) }

func (s *boltStore) load(record, proof func(raw []byte) error) (epoch uint64, err error) {
	err = guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			task := tx.Bucket(s.task)
			if task == nil {
				return nil
			}
			each := func(name []byte, visit func([]byte) error) error {
				b := task.Bucket(name)
				if b == nil {
					return fmt.Errorf("%w: it has no %s", errDamaged, name)
				}
				return b.ForEach(func(_, v []byte) error { return visit(bytes.Clone(v)) })
			}
			if err := each(recordsBucket, record); err != nil {
				return err
			}
			if err := each(proofsBucket, proof); err != nil {
				return err
			}
			meta := task.Bucket(metaBucket)
			if meta == nil {
				return fmt.Errorf("%w: it has no %s", errDamaged, metaBucket)
			}
			switch v := meta.Get(s.epochKey()); len(v) {
			case 0:
			case 8:
				epoch = binary.BigEndian.Uint64(v)
			default:
				return fmt.Errorf("%w: the epoch has %d bytes", errDamaged, len(v))
			}
			return nil
		})
	})
	return epoch, err
}

func (s *boltStore) commit(c *changes) error {
	err := guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			task, err := tx.CreateBucketIfNotExists(s.task)
			if err != nil {
				return err
			}
			var b [3]*bbolt.Bucket
			for i, name := range [][]byte{recordsBucket, proofsBucket, metaBucket} {
				if b[i], err = task.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return s.write(c, b[0], b[1], b[2])
		})
	})
	if err != nil {
		return fmt.Errorf("%w: write %s: %w", ErrStore, s.db.Path(), err)
	}
	return nil
}

func (s *boltStore) write(c *changes, records, proofs, meta *bbolt.Bucket) error {
	for _, t := range c.trims {
		if err := trimBucket(records, t); err != nil {
			return err
		}
	}
	for _, r := range c.records {
		if err := records.Put(recordKey(chainID{r.Origin, r.Epoch}, r.Sequence), r.Raw); err != nil {
			return err
		}
	}
	for _, id := range c.unprove {
		if err := proofs.Delete([]byte(id)); err != nil {
			return err
		}
	}
	for _, p := range c.proofs {
		if err := proofs.Put([]byte(p.Origin), p.Raw); err != nil {
			return err
		}
	}
	if c.epoch != 0 {
		return meta.Put(s.epochKey(), binary.BigEndian.AppendUint64(nil, c.epoch))
	}
	return nil
}

// trimBucket deletes the records of a chain below a number. It gathers keys first:
// a cursor does not go on reliably after a deletion.
func trimBucket(records *bbolt.Bucket, t trim) error {
	from, to := recordKey(t.id, 0), recordKey(t.id, t.below)
	var keys [][]byte
	cursor := records.Cursor()
	for k, _ := cursor.Seek(from); k != nil && bytes.Compare(k, to) < 0; k, _ = cursor.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := records.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func (s *boltStore) read(id chainID, from uint64, limit int) ([][]byte, error) {
	var out [][]byte
	err := guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			task := tx.Bucket(s.task)
			if task == nil {
				return nil
			}
			records, prefix := task.Bucket(recordsBucket), recordKey(id, 0)[:chainKeyLength]
			cursor := records.Cursor()
			for k, v := cursor.Seek(recordKey(id, from)); bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
				if limit -= len(v); limit < 0 && len(out) > 0 {
					break
				}
				out = append(out, bytes.Clone(v))
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", ErrStore, s.db.Path(), err)
	}
	return out, nil
}

func (s *boltStore) close() error { return guard(s.db.Close) }

const chainKeyLength = 32 + 8

func recordKey(id chainID, sequence uint64) []byte {
	b := append(make([]byte, 0, chainKeyLength+8), id.origin...)
	b = binary.BigEndian.AppendUint64(b, id.epoch)
	return binary.BigEndian.AppendUint64(b, sequence)
}
