package identity

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func mustKey(t testing.TB) *Key {
	t.Helper()
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sampleCard() Card {
	c := Card{Name: "ana", Model: "knn", URL: "https://ab12.ngrok-free.app", Sequence: 7}
	c.Fingerprint[0], c.Task[31] = 1, 2
	return c
}

func TestCardSurvivesTheRoundTrip(t *testing.T) {
	k := mustKey(t)
	longest := Card{
		Name:  strings.Repeat("a", MaxName),
		Model: strings.Repeat("m", MaxModel),
		URL:   "https://" + strings.Repeat("h", MaxURL-len("https://")), Sequence: math.MaxUint64, Leaving: true,
	}
	relayed := sampleCard()
	relayed.URL = "https://relay.example:8443/via/" + string(k.ID())
	nowhere := sampleCard()
	nowhere.URL = ""
	for name, c := range map[string]Card{"plain": sampleCard(), "every field at its limit": longest, "relayed": relayed, "no URL": nowhere} {
		t.Run(name, func(t *testing.T) {
			signed, err := k.SignCard(c)
			if err != nil {
				t.Fatal(err)
			}
			if len(signed.Signed) > MaxCard {
				t.Fatalf("card has %d bytes", len(signed.Signed))
			}
			got, err := ParseCard(signed.Signed)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, signed) {
				t.Fatalf("got %+v\nwant %+v", got, signed)
			}
			if got.ID != k.ID() || got.ID != IDOf(got.PublicKey) {
				t.Fatalf("id %s, want %s", got.ID, k.ID())
			}
		})
	}
}

func TestCardIsRefusedWhenAnyByteChanges(t *testing.T) {
	c, err := mustKey(t).SignCard(sampleCard())
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Signed {
		for _, flip := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(c.Signed)
			b[i] ^= flip
			if _, err := ParseCard(b); !errors.Is(err, ErrCard) {
				t.Fatalf("byte %d changed by %#x: %v", i, flip, err)
			}
		}
	}
	for n := range c.Signed {
		if _, err := ParseCard(c.Signed[:n]); !errors.Is(err, ErrCard) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := ParseCard(append(bytes.Clone(c.Signed), 0)); !errors.Is(err, ErrCard) {
		t.Fatalf("one byte more: %v", err)
	}
}

func TestCardOfAnotherKeyIsRefused(t *testing.T) {
	ana, eve := mustKey(t), mustKey(t)
	c, err := eve.SignCard(sampleCard())
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(c.Signed)
	copy(forged[10:42], ana.Public())
	if _, err := ParseCard(forged); !errors.Is(err, ErrCard) {
		t.Fatalf("a card with ana's key and eve's signature: %v", err)
	}
	// A signature over the same bytes without the context is no card's.
	body := c.Signed[:len(c.Signed)-64]
	if _, err := ParseCard(append(bytes.Clone(body), eve.Sign(body)...)); !errors.Is(err, ErrCard) {
		t.Fatalf("signed without the context: %v", err)
	}
}

func TestSignCardNamesTheFieldThatDoesNotFit(t *testing.T) {
	k := mustKey(t)
	for _, tc := range []struct {
		change func(*Card)
		want   []string
	}{
		{func(c *Card) { c.Name = strings.Repeat("a", 64) }, []string{"name", "64", "63"}},
		{func(c *Card) { c.Name = "" }, []string{"name", "0 characters"}},
		{func(c *Card) { c.Name = "Ana\x1b[31m" }, []string{"name", `\x1b`}},
		{func(c *Card) { c.Model = strings.Repeat("m", 33) }, []string{"model", "33", "32"}},
		{func(c *Card) { c.URL = "https://" + strings.Repeat("h", 240) }, []string{"url", "248", "240"}},
		{func(c *Card) { c.URL = "ftp://x" }, []string{"url", "ftp"}},
		{func(c *Card) { c.URL = "http://x/admin" }, []string{"url", "path"}},
	} {
		c := sampleCard()
		tc.change(&c)
		_, err := k.SignCard(c)
		if err == nil {
			t.Errorf("%+v was signed", c)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
}

func TestSignedCardWithBadFieldsIsRefused(t *testing.T) {
	// A member may sign anything with its own key.
	k := mustKey(t)
	for _, c := range []Card{
		{Name: "a b", Model: "knn"},
		{Name: "a", Model: "<img>"},
		{Name: "a", Model: "knn", URL: "http://user@x"},
		{Name: "a", Model: "knn", URL: "HTTP://x"},
		{Name: "a", Model: "knn", URL: "http://x/"},
		{Name: "a", Model: "knn", URL: "http://x/via/short"},
	} {
		c.PublicKey = k.Public()
		b := appendCard([]byte(cardContext), c)
		b = append(b, k.Sign(b)...)
		if _, err := ParseCard(b[len(cardContext):]); !errors.Is(err, ErrCard) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestParsedCardSharesNoMemoryWithItsInput(t *testing.T) {
	c, err := mustKey(t).SignCard(sampleCard())
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Clone(c.Signed)
	got, err := ParseCard(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(got, c) {
		t.Fatal("the card changed with the buffer that it was read from")
	}
}

func FuzzParseCard(f *testing.F) {
	k := mustKey(f)
	for _, c := range []Card{sampleCard(), {Name: "a", Model: "svm", Leaving: true}} {
		s, err := k.SignCard(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s.Signed)
		f.Add(s.Signed[:len(s.Signed)-64])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1}, MaxCard))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCard(b)
		if err != nil {
			if !errors.Is(err, ErrCard) {
				t.Fatalf("error does not wrap ErrCard: %v", err)
			}
			// Whatever the signature, what decodes must encode to the same bytes.
			if body := len(b) - 64; body >= cardFixed+3 && len(b) <= MaxCard && b[0] == cardVersion {
				if c, rest, err := decodeCard(b[:body]); err == nil && len(rest) == 0 && !bytes.Equal(appendCard(nil, c), b[:body]) {
					t.Fatalf("two encodings of %+v", c)
				}
			}
			return
		}
		if !bytes.Equal(c.Signed, b) || c.ID != IDOf(c.PublicKey) {
			t.Fatalf("%+v was read from %x", c, b)
		}
	})
}

func BenchmarkSignCard(b *testing.B) {
	k := mustKey(b)
	for b.Loop() {
		_, _ = k.SignCard(sampleCard())
	}
}

func BenchmarkParseCard(b *testing.B) {
	c, _ := mustKey(b).SignCard(sampleCard())
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseCard(c.Signed)
	}
}
