package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"caucus/cluster/identity"
)

// StateReport is what can be seen of a state folder without being its node.
type StateReport struct {
	ID    identity.ID // of its key; "" if there is none that can be read
	InUse bool        // a process has it open
	Err   error       // why a node could not use it; nil: it could, or does
}

// inspectWithin is how long to wait for a file that a process may just be letting go of.
const inspectWithin = 100 * time.Millisecond

// InspectState looks at a state folder and changes nothing in it that lasts.
func InspectState(dir string) StateReport {
	var r StateReport
	if _, err := os.ReadDir(dir); err != nil {
		r.Err = fmt.Errorf("cluster: cannot read the state folder: %w", err)
		return r
	}
	key, err := identity.Load(dir)
	switch {
	case err == nil:
		r.ID = key.ID()
	case !errors.Is(err, fs.ErrNotExist):
		r.Err = err
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err == nil {
		_, err = f.WriteString("is there room?\n")
		err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		r.Err = errors.Join(r.Err, fmt.Errorf("cluster: cannot write to the state folder: %w", err))
	}
	path := filepath.Join(dir, storeFile)
	if _, err := os.Stat(path); err != nil {
		return r // none yet
	}
	// Read-only, it takes a shared lock, which a node's own keeps out.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: inspectWithin})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		r.InUse = true
	case err != nil && !isDamage(err): // a damaged one is set aside and begun anew
		r.Err = errors.Join(r.Err, fmt.Errorf("cluster: cannot open %s: %w", path, err))
	case err == nil:
		r.Err = errors.Join(r.Err, db.Close())
	}
	return r
}
