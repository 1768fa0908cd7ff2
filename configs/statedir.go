package configs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// StateDir returns the folder in which a node of this name keeps its state, unless
// told otherwise: $XDG_STATE_HOME/caucus/NAME, else ~/.local/state/caucus/NAME,
// ~/Library/Application Support/caucus/NAME on macOS, %LocalAppData%\caucus\NAME on Windows.
func StateDir(name string, env func(string) (string, bool)) (string, error) {
	if env == nil {
		env = os.LookupEnv
	}
	return stateDir(runtime.GOOS, name, env)
}

func stateDir(goos, name string, env func(string) (string, bool)) (string, error) {
	get := func(key string) string { s, _ := env(key); return s }
	// The specification says to ignore a relative XDG_STATE_HOME.
	if x := get("XDG_STATE_HOME"); filepath.IsAbs(x) {
		return filepath.Join(x, "caucus", name), nil
	}
	root, under := get("HOME"), filepath.Join(".local", "state")
	switch goos {
	case "windows":
		root, under = get("LocalAppData"), ""
	case "darwin":
		under = filepath.Join("Library", "Application Support")
	}
	if root == "" {
		return "", errors.New("there is no home folder to keep this node's key in; give --state-dir DIR, or --state-dir none to keep nothing")
	}
	return filepath.Join(root, under, "caucus", name), nil
}
