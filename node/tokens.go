package node

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/api"
)

// tokensReplaced is told by the cluster that another token is its own now.
func (n *Node) tokensReplaced(tokens []identity.Token) {
	n.api.SetBearers(bearers(tokens))
	if n.cfg.StateDir == "" || len(tokens) == 0 {
		return
	}
	// caucus invite reads it there, and so does the next start.
	err := KeepToken(n.cfg.StateDir, tokens[0])
	if err != nil {
		n.unkept.Add(1)
		n.log.Error("the new token is used, but not kept for caucus invite", "error", err)
	}
	n.tokenErr.Store(&err)
}

// rotate makes a token the cluster's that is sealed with the present one. The others that are
// still good do not do: what was sealed with them may have been said before.
func (n *Node) rotate(sealed string, keep time.Duration, membersOnly bool) error {
	tokens := n.cluster.Tokens()
	if len(tokens) == 0 {
		return cluster.ErrOpenCluster
	}
	next, err := tokens[0].Unseal(sealed, api.RotateAbout(keep, membersOnly))
	if err != nil {
		return err
	}
	return n.cluster.Rotate(next, keep, membersOnly)
}

// bearers are the keys that go with tokens.
func bearers(tokens []identity.Token) []string {
	keys := make([]string, len(tokens))
	for i, t := range tokens {
		keys[i] = t.Bearer()
	}
	return keys
}

// TokenPath is where a node keeps its cluster's token in its state folder.
func TokenPath(dir string) string { return filepath.Join(dir, "token") }

// KeepToken writes the token there, for this user alone: beside its place first, so that a crash
// leaves a whole one or none.
func KeepToken(dir string, t identity.Token) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	f, err := os.CreateTemp(dir, "token-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the token: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(t.String() + "\n")
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), TokenPath(dir))
	}
	if err != nil {
		return fmt.Errorf("keep the token: %w", err)
	}
	return nil
}
