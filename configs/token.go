package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"caucus/cluster/identity"
	"caucus/node"
)

const tokenEnv = "CAUCUS_TOKEN"

// FindToken returns the token of CAUCUS_TOKEN or of a file, or nil if there is
// neither, and says where it came from. tokenFile is what --token-file says, or
// empty; it goes before the environment.
func FindToken(tokenFile string, env func(string) (string, bool)) (*identity.Token, string, error) {
	if env == nil {
		env = os.LookupEnv
	}
	var v value
	if tokenFile != "" {
		v = value{texts: []string{tokenFile}, source: "flag --token-file"}
	} else if p, ok := env(envName("token-file")); ok && p != "" {
		v = value{texts: []string{p}, source: "environment " + envName("token-file")}
	}
	return findToken(v, env)
}

// findToken looks at the file named on the command line, then at CAUCUS_TOKEN, then
// at a file named elsewhere. No error of it shows a token.
func findToken(file value, env func(string) (string, bool)) (*identity.Token, string, error) {
	text, ok := env(tokenEnv)
	if text = strings.TrimSpace(text); ok && text != "" && !strings.HasPrefix(file.source, "flag ") {
		tok, err := parseToken(text)
		if err != nil {
			return nil, "", &Error{Source: "environment " + tokenEnv, Err: err}
		}
		return &tok, "environment " + tokenEnv, nil
	}
	if file.one() == "" {
		return nil, "", nil
	}
	path := file.path()
	tok, err := readTokenFile(path)
	if err != nil {
		return nil, "", &Error{Source: file.source, Err: err}
	}
	return &tok, "file " + path, nil
}

// parseToken reads a token, or the whole invite that somebody pasted in its place.
func parseToken(text string) (identity.Token, error) {
	if _, after, ok := strings.Cut(text, "#"); ok {
		text = after
	}
	tok, err := identity.ParseToken(text)
	if err != nil {
		// The cause could repeat what was given, which may be a secret with a typing error in it.
		return identity.Token{}, fmt.Errorf("what is there (%d characters) is not a token; a token is the 43 characters after # in an invite: %w", len(text), identity.ErrToken)
	}
	return tok, nil
}

func readTokenFile(path string) (identity.Token, error) {
	info, err := os.Stat(path)
	if err != nil {
		return identity.Token{}, fmt.Errorf("cannot read the token file %q: %w", path, pathless(err))
	}
	if !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeNamedPipe {
		return identity.Token{}, fmt.Errorf("the token file %q is not a file", path)
	}
	text, err := readAtMost(path, 64<<10)
	if err != nil {
		return identity.Token{}, fmt.Errorf("cannot read the token file %q: %w", path, pathless(err))
	}
	tok, err := parseToken(strings.TrimSpace(string(text)))
	if err != nil {
		return identity.Token{}, fmt.Errorf("token file %q: %w", path, err)
	}
	return tok, nil
}

// StoredToken returns the token that a node made for itself in its state folder, or nil.
func StoredToken(dir string) (*identity.Token, error) { return readStoredToken(dir) }

func readStoredToken(dir string) (*identity.Token, error) {
	path := node.TokenPath(dir)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the token of this node: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the token in %s can be read by other users of this machine; run: chmod 600 %s", path, path)
	}
	tok, err := readTokenFile(path)
	if err != nil {
		return nil, fmt.Errorf("the token that this node keeps is damaged (remove the file to have a new one made, and invite everybody again): %w", err)
	}
	return &tok, nil
}
