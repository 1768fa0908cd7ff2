package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	keyFileName = "node.key"
	keyFileHead = "caucus node key v1, secret"
	keyFileMax  = 1024 // a key file has under 150 bytes; more is some other file
)

// LoadOrCreate reads dir/node.key, or makes it with mode 0600 if it is absent
// (and dir, with mode 0700). A damaged or widely readable key file is ErrKey,
// and is never replaced: a new key is a new member to everybody else, so only
// the owner may decide that.
func LoadOrCreate(dir string) (*Key, error) {
	path := filepath.Join(dir, keyFileName)
	k, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("identity: make the folder for the key: %w", err)
	}
	if k, err = Generate(); err != nil {
		return nil, err
	}
	err = createKeyFile(path, encodeKey(k))
	if errors.Is(err, fs.ErrExist) {
		return loadKey(path) // another process was faster; its key is the node's key
	}
	if err != nil {
		return nil, fmt.Errorf("identity: write the key to %s: %w", path, err)
	}
	return k, nil
}

// Load reads dir/node.key as LoadOrCreate does, and makes nothing: an absent one is fs.ErrNotExist.
func Load(dir string) (*Key, error) { return loadKey(filepath.Join(dir, keyFileName)) }

// loadKey reads and checks a key file. An absent one is fs.ErrNotExist; every
// other fault of the file is ErrKey.
func loadKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		// A dangling link is somebody's unmounted secret, not a first start.
		if _, lerr := os.Lstat(path); lerr == nil {
			return nil, fmt.Errorf("%w: %s is a link to a file that is not there; mount or restore that file, or remove the link to let the node make a new identity", ErrKey, path)
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be opened by this user (%v); give this user the file, or choose another state folder", ErrKey, path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be inspected: %v", ErrKey, path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file; move it away to let the node make a new identity", ErrKey, path)
	}
	// Windows has no such bits: Go makes them up from the read-only attribute.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s can be read or changed by other users (mode %04o); run: chmod 600 %s", ErrKey, path, mode, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, keyFileMax+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %v", ErrKey, path, err)
	}
	k, err := decodeKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is damaged (%v); restore it from a backup, or move it away to let the node make a new identity, which the others will see as a new member", ErrKey, path, err)
	}
	return k, nil
}

// encodeKey gives the text of a key file. The id in it is a checksum: a seed
// with a flipped bit is a perfectly good seed of somebody else.
func encodeKey(k *Key) []byte {
	return fmt.Appendf(nil, "%s\nid %s\nseed %s\n", keyFileHead, k.id,
		base64.StdEncoding.EncodeToString(k.private.Seed()))
}

// decodeKey reads the text of a key file. Its errors never quote the seed.
func decodeKey(b []byte) (*Key, error) {
	if len(b) == 0 {
		return nil, errors.New("it is empty")
	}
	if len(b) > keyFileMax {
		return nil, errors.New("it is too long for a key")
	}
	lines := strings.Split(string(b), "\n")
	if lines[0] != keyFileHead {
		return nil, fmt.Errorf("its first line is not %q", keyFileHead)
	}
	if len(lines) != 4 || lines[3] != "" {
		return nil, errors.New("it does not have three lines")
	}
	text, ok := strings.CutPrefix(lines[2], "seed ")
	if !ok {
		return nil, errors.New("its third line is no seed")
	}
	seed, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("its seed is not %d bytes of base64", ed25519.SeedSize)
	}
	k := newKey(ed25519.NewKeyFromSeed(seed))
	if !bytes.Equal(encodeKey(k), b) {
		return nil, errors.New("its seed and its id do not belong together")
	}
	return k, nil
}

// createKeyFile writes b to path so that a crash leaves either the whole file
// or none. It never overwrites: fs.ErrExist if path exists by then.
func createKeyFile(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".node.key-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if rerr := os.Remove(temp); err == nil && rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = rerr // a second copy of the key must not stay behind unnoticed
		}
	}()
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// A link fails where a rename would overwrite the key that another process
	// has just made. Where links are not to be had, rename after a last look.
	err = os.Link(temp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		if _, serr := os.Lstat(path); serr == nil {
			return fs.ErrExist
		}
		err = os.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the new name durable. Windows cannot sync a folder and need not.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
