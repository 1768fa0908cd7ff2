package ml

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SaveFile writes a model to a file, whole or not at all: readers meet the old file or the
// new one, also when the machine stops half-way. A file of the name is replaced.
func SaveFile(path string, m Model, meta Meta) (err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("ml: %s is not a plain file; name another one to save the model in", path)
	}
	// Not os.CreateTemp, whose files only their owner may read: whether others may is for
	// the umask to say, as with any file that a person makes.
	f, err := os.OpenFile(filepath.Join(dir, "."+base+"-"+rand.Text()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("ml: cannot save the model in %s: %w", dir, pathless(err))
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			_ = f.Close() // perhaps again
			_ = os.Remove(temp)
		}
	}()
	if err := Save(f, m, meta); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("ml: cannot save the model as %s: %w", path, pathless(err))
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("ml: cannot save the model as %s: %w", path, pathless(err))
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("ml: cannot save the model as %s: %w", path, err)
	}
	// The name is on disk only when the folder is. Not every system lets one sync a folder.
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

// LoadFile reads a model that SaveFile wrote. Its complaints name the file.
func LoadFile(path string) (Model, Meta, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("ml: cannot open the model file: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, Meta{}, fmt.Errorf("%w: %s is a folder; name the file in it", ErrModelFile, path)
	}
	m, meta, err := Load(bufio.NewReader(f))
	if err != nil {
		return nil, Meta{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, meta, nil
}

// pathless drops the path that os puts into its errors; ours name it already, and a
// temporary one helps nobody.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
