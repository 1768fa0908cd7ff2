// Package web holds the dashboard: one page with its style and scripts, embedded in the
// binary and served as they are. There is no build step, and no byte of a node's or a
// peer's data is in them: the page asks the node's own API for that (/card, /members,
// /rounds, /weights, /review, /events, /consensus, /feedback) and shows it as text only.
// From elsewhere than the node's machine it asks with a key, which it makes of the join
// line (door.js, key.js).
//
// The page works under Content-Security-Policy default-src 'self': no inline script or
// style, nothing from another host.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// Page is the name under which Site knows the page itself.
const Page = "index.html"

// types of what is embedded. The machine's own table of types is not asked: it differs
// from one to the next, and a module with a wrong type does not run.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Site serves the embedded files. It never changes once made.
type Site struct {
	files map[string]file
}

type file struct {
	content []byte
	kind    string // of media
	tag     string // for If-None-Match
}

// New reads the embedded files.
func New() (*Site, error) {
	s := &Site{files: map[string]file{}}
	err := fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		kind, ok := types[path.Ext(name)]
		if !ok {
			return fmt.Errorf("web: %s is embedded, but its media type is not known; add it to types", name)
		}
		sum := sha256.Sum256(content)
		s.files[strings.TrimPrefix(name, "assets/")] = file{content, kind, `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	return s, err
}

// Names returns the files that there are, in no order.
func (s *Site) Names() []string {
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	return names
}

// Serve answers with a file, or reports false and does nothing if there is none of that name.
// Browsers keep what they have and ask each time whether it still holds, so that nobody
// looks at the page of an older node with the scripts of a newer one.
func (s *Site) Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	f, ok := s.files[name]
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
	return true
}
