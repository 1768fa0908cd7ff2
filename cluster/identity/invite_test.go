package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func mustToken(t testing.TB) Token {
	t.Helper()
	tok, err := NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestParseInviteReads(t *testing.T) {
	id := string(mustKey(t).ID())
	for in, want := range map[string]string{
		"10.0.0.5:5001":                              "http://10.0.0.5:5001",
		"  localhost:5001\n":                         "http://localhost:5001",
		"Knn:5001":                                   "http://knn:5001",
		"[::1]:5001":                                 "http://[::1]:5001",
		"[0:0:0::1]:5001":                            "http://[::1]:5001",
		"http://10.0.0.5:5001":                       "http://10.0.0.5:5001",
		"http://10.0.0.5:5001/":                      "http://10.0.0.5:5001",
		"HTTPS://AB12.ngrok-free.app":                "https://ab12.ngrok-free.app",
		"https://relay.example/via/" + id:            "https://relay.example/via/" + id,
		"https://relay.example:8443/via/" + id + "/": "https://relay.example:8443/via/" + id,
		"dns+caucus.internal:5001":                   "dns+caucus.internal:5001",
		"dns+my_service:5001":                        "dns+my_service:5001",
	} {
		t.Run(in, func(t *testing.T) {
			got, err := ParseInvite(in)
			if err != nil || got.Address != want || got.Token != nil {
				t.Fatalf("got %v, %v; want %s", got, err, want)
			}
			tok := mustToken(t)
			got, err = ParseInvite(strings.TrimSpace(in) + "#" + tok.String())
			if err != nil || got.Address != want || got.Token == nil || !got.Token.Equal(tok) {
				t.Fatalf("with a token: got %v, %v; want %s", got, err, want)
			}
			again, err := ParseInvite(got.String())
			if err != nil || again.Address != want || !again.Token.Equal(tok) {
				t.Fatalf("its own text: got %v, %v", again, err)
			}
		})
	}
}

func TestParseInviteRefusesWithARemedy(t *testing.T) {
	token := mustToken(t).String()
	for _, tc := range []struct {
		in   string
		is   error
		want []string
	}{
		{"", ErrInvite, []string{"host:port"}},
		{"knn", ErrInvite, []string{`"knn"`, "knn:5001", "https://knn"}},
		{"dns+knn", ErrInvite, []string{"dns+knn:5001"}},
		{"dns+http://knn:5001", ErrInvite, []string{"dns+host:port"}},
		{":5001", ErrInvite, []string{"127.0.0.1:5001"}},
		{"::1", ErrInvite, []string{"[::1]:5001"}},
		{"[::1]", ErrInvite, []string{"[::1]:5001"}},
		{"knn:5001/gossip", ErrURL, []string{"path", "/gossip"}},
		{"knn/gossip", ErrInvite, []string{"http://"}},
		{"knn:5001/via/" + strings.Repeat("a", 32), ErrInvite, []string{"http://"}},
		{"knn:0", ErrURL, []string{"port", "65535"}},
		{"knn:65536", ErrURL, []string{"port", "65535"}},
		{"knn:http", ErrURL, []string{"URL"}},
		{"kn n:5001", ErrURL, []string{`kn n`}},
		{"ws://knn:5001", ErrURL, []string{"http://", `"ws"`}},
		{"https://", ErrURL, []string{"host"}},
		{"https://ana:secret@knn", ErrURL, []string{"user"}},
		{"https://knn?x=1", ErrURL, []string{"query"}},
		{"https://knn/gossip", ErrURL, []string{"/gossip", "path"}},
		{"https://knn/via/abc", ErrURL, []string{"path"}},
		{"https://[fe80::1%25eth0]:5001", ErrURL, []string{"zone"}},
		{"https://münchen.example", ErrURL, []string{"xn--"}},
		{"https://knn\x1b[31m", ErrURL, []string{`\x1b`}},
		{"https://" + strings.Repeat("h.", 200), ErrURL, []string{"408", "240"}},
		{"https://knn#", ErrToken, []string{"https://knn", "quotes"}},
		{"https://knn#" + token[:40], ErrToken, []string{"https://knn", "40", "43"}},
		{"https://knn#" + token[:42] + "!", ErrToken, []string{"https://knn"}},
		{"https://knn#" + token + "#" + token, ErrToken, []string{"https://knn"}},
		// A token in the wrong place is not quoted either.
		{"https://knn/" + token, ErrURL, []string{"path"}},
		{"https://knn?token=" + token, ErrURL, []string{"query"}},
		{"https://" + token + "@knn", ErrURL, []string{"user"}},
		{"knn:5001 " + token, ErrURL, []string{"knn"}},
	} {
		t.Run(tc.in, func(t *testing.T) {
			_, err := ParseInvite(tc.in)
			if !errors.Is(err, tc.is) {
				t.Fatalf("got %v, want %v", err, tc.is)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			for _, secret := range []string{token[:20], token[20:40], "secret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q gives the secret away", err)
				}
			}
		})
	}
}

func TestTokenIsNeverPrintedUnasked(t *testing.T) {
	tok := mustToken(t)
	inv := Invite{Address: "https://knn", Token: &tok}
	key := mustKey(t)
	shown := []string{
		fmt.Sprint(tok), fmt.Sprintf("%v %+v %#v %s %q %x %d", tok, tok, tok, tok, tok, tok, tok),
		fmt.Sprint(&tok), fmt.Sprint([]Token{tok}), fmt.Sprintf("%+v", struct{ T Token }{tok}),
		fmt.Sprint(inv), fmt.Sprintf("%#v", inv), fmt.Errorf("join %v", inv).Error(),
		fmt.Sprint(key), fmt.Sprintf("%#v", key),
	}
	for _, h := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(h(&b)).Info("joining", "token", tok, "ptr", &tok, "invite", inv, "in", struct{ T Token }{tok}, "key", key)
		shown = append(shown, b.String())
	}
	numbers := fmt.Sprint([]byte(tok[:]))
	for _, s := range shown {
		for _, secret := range []string{tok.String(), fmt.Sprintf("%x", tok[:]), numbers[1:20]} {
			if strings.Contains(s, secret) {
				t.Errorf("%q gives the token away", s)
			}
		}
	}
	if b, err := json.Marshal(tok); err == nil {
		t.Errorf("JSON wrote %s", b)
	}
}

func TestTokenRoundTripAndDerivedKeys(t *testing.T) {
	tok, other := mustToken(t), mustToken(t)
	got, err := ParseToken(tok.String())
	if err != nil || !got.Equal(tok) || got.Equal(other) {
		t.Fatalf("got %v, %v", got, err)
	}
	if len(tok.String()) != 43 {
		t.Fatalf("%d characters", len(tok.String()))
	}
	if tok.Bearer() == tok.String() || tok.Bearer() == other.Bearer() || len(tok.Bearer()) != 43 {
		t.Fatal("the bearer must be of the token but not tell it")
	}
	if !tok.IsBearer(tok.Bearer()) || tok.IsBearer(other.Bearer()) || tok.IsBearer("") || tok.IsBearer(tok.String()) {
		t.Fatal("only the token's own bearer opens")
	}
	if bytes.Equal(tok.ProofKey(), tok[:]) || bytes.Equal(tok.ProofKey(), other.ProofKey()) || len(tok.ProofKey()) != 32 {
		t.Fatal("the proof key must be of the token but not tell it")
	}
	for _, bad := range []string{"", tok.String() + "A", tok.String()[:42], tok.String()[:42] + "\n", tok.String()[:42] + "B"} {
		if got, err := ParseToken(bad); !errors.Is(err, ErrToken) && got.Equal(tok) {
			t.Errorf("%q was read as the same token", bad)
		}
	}
	// 43 characters hold 258 bits; the two spare ones must be zero.
	var zero Token
	if _, err := ParseToken(zero.String()[:42] + "B"); !errors.Is(err, ErrToken) {
		t.Errorf("a second text of one token was read: %v", err)
	}
}

func TestPinnedDerivations(t *testing.T) {
	// Two versions of this program must agree on these; a change breaks clusters.
	var tok Token
	for i := range tok {
		tok[i] = byte(i)
	}
	if got, want := tok.Bearer(), pinnedBearer; got != want {
		t.Errorf("bearer %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%x", tok.ProofKey()), pinnedProof; got != want {
		t.Errorf("proof key %s, want %s", got, want)
	}
	id := IDOf(make([]byte, 32))
	if got, want := string(id)+" "+id.Placeholder().String(), pinnedID; got != want {
		t.Errorf("id and placeholder %s, want %s", got, want)
	}
}

func FuzzParseInvite(f *testing.F) {
	for _, s := range []string{
		"knn:5001", "https://ab12.ngrok-free.app#" + strings.Repeat("A", 43), "dns+knn:5001", "[::1]:5001",
		"http://x/via/" + strings.Repeat("a", 32), "http://u:p@x", "knn", "http://x:0", "http://[fe80::1%25a]:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		inv, err := ParseInvite(s)
		if err != nil {
			if !errors.Is(err, ErrInvite) && !errors.Is(err, ErrURL) && !errors.Is(err, ErrToken) {
				t.Fatalf("error of no kind: %v", err)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("control characters in %q", err)
			}
			return
		}
		again, err := ParseInvite(inv.String())
		if err != nil || again.Address != inv.Address || (again.Token == nil) != (inv.Token == nil) {
			t.Fatalf("%q gave %q, which gave %q, %v", s, inv.Address, again.Address, err)
		}
	})
}
