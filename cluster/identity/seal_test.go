package identity

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestASealedTokenOpensForWhoHasThePresentOne(t *testing.T) {
	present, next := Token{1}, Token{2}
	sealed := present.Seal(next, "keep=24h0m0s")
	if got, err := present.Unseal(sealed, "keep=24h0m0s"); err != nil || got != next {
		t.Fatalf("%v %v", got, err)
	}
	if strings.Contains(sealed, next.String()) || sealed == present.Seal(next, "keep=24h0m0s") {
		t.Error("it shows the token, or is the same twice")
	}
	if _, err := next.Unseal(sealed, "keep=24h0m0s"); !errors.Is(err, ErrToken) {
		t.Errorf("another token opens it: %v", err)
	}
	if _, err := present.Unseal(sealed, "keep=48h0m0s"); !errors.Is(err, ErrToken) {
		t.Errorf("what goes with it can be changed: %v", err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(sealed)
	for i := range raw {
		raw[i] ^= 1
		if _, err := present.Unseal(base64.RawURLEncoding.EncodeToString(raw), "keep=24h0m0s"); !errors.Is(err, ErrToken) {
			t.Errorf("byte %d can be changed: %v", i, err)
		}
		raw[i] ^= 1
	}
	for _, bad := range []string{"", "x", sealed + "A", sealed[1:], sealed + "=", next.String(), strings.Repeat("*", len(sealed))} {
		if _, err := present.Unseal(bad, "keep=24h0m0s"); !errors.Is(err, ErrToken) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
