// Package testkey makes keys that are the same each time, for tests that hold a format to the byte.
package testkey

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"caucus/cluster/identity"
)

// OfSeed makes the key whose seed is 32 bytes b, by way of a key file: there is no other
// way to have a certain key.
func OfSeed(t testing.TB, b byte) *identity.Key {
	t.Helper()
	seed := bytes.Repeat([]byte{b}, ed25519.SeedSize)
	id := identity.IDOf(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	dir := t.TempDir()
	text := fmt.Sprintf("caucus node key v1, secret\nid %s\nseed %s\n", id, base64.StdEncoding.EncodeToString(seed))
	if err := os.WriteFile(filepath.Join(dir, "node.key"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := identity.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
