package identity

import (
	"bytes"
	"errors"
	"testing"
)

func aRemoval(t testing.TB, edit ...func(*Removal)) Removal {
	t.Helper()
	by, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	whom, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	r := Removal{ID: whom.ID(), Name: "bo", Epoch: 1_790_000_000_000, ByName: "ana"}
	for _, f := range edit {
		f(&r)
	}
	r, err = by.SignRemoval(r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARemovalIsRefusedWhenAnyByteChanges(t *testing.T) {
	for _, r := range []Removal{
		aRemoval(t),
		aRemoval(t, func(r *Removal) { r.Undone = true }),
		aRemoval(t, func(r *Removal) { r.Name = "" }),
	} {
		got, err := ParseRemoval(r.Signed)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != r.ID || got.By != r.By || got.Name != r.Name || got.ByName != "ana" || got.Epoch != r.Epoch || got.Undone != r.Undone || !bytes.Equal(got.Signed, r.Signed) {
			t.Errorf("got %+v, want %+v", got, r)
		}
		for i := range r.Signed {
			b := bytes.Clone(r.Signed)
			b[i] ^= 1
			if _, err := ParseRemoval(b); !errors.Is(err, ErrRemoval) {
				t.Errorf("byte %d changed: %v", i, err)
			}
		}
		for n := range r.Signed {
			if _, err := ParseRemoval(r.Signed[:n]); !errors.Is(err, ErrRemoval) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
		if _, err := ParseRemoval(append(bytes.Clone(r.Signed), 0)); !errors.Is(err, ErrRemoval) {
			t.Errorf("a byte too many: %v", err)
		}
	}
}

func TestNobodyRemovesItselfOrTakesItselfBack(t *testing.T) {
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, undone := range []bool{false, true} {
		if _, err := k.SignRemoval(Removal{ID: k.ID(), Undone: undone, Epoch: 1, ByName: "ana"}); err == nil {
			t.Errorf("undone %v: it was signed", undone)
		}
	}
	if _, err := k.SignRemoval(Removal{ID: "nobody", Epoch: 1, ByName: "ana"}); err == nil {
		t.Error("an id that is none was signed")
	}
}

func TestOfTwoRemovalsTheSameOneHoldsWhoeverComparesThem(t *testing.T) {
	early := aRemoval(t)
	late := aRemoval(t, func(r *Removal) { r.ID, r.Epoch, r.Undone = early.ID, early.Epoch+1, true })
	back := aRemoval(t, func(r *Removal) { r.ID, r.Undone = early.ID, true })
	other := aRemoval(t, func(r *Removal) { r.ID = early.ID })
	if !late.Supersedes(&early) || early.Supersedes(&late) {
		t.Error("the later one does not hold")
	}
	if !early.Supersedes(&back) || back.Supersedes(&early) {
		t.Error("of two at one time the one that keeps out does not hold")
	}
	if early.Supersedes(&other) == other.Supersedes(&early) {
		t.Error("of two equals both or neither hold")
	}
	if early.Supersedes(&early) {
		t.Error("one supersedes itself")
	}
}

func FuzzParseRemoval(f *testing.F) {
	f.Add(aRemoval(f).Signed)
	f.Add(aRemoval(f, func(r *Removal) { r.Undone, r.Name = true, "" }).Signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRemoval(b)
		if err == nil && !bytes.Equal(r.Signed, b) {
			t.Error("read as another")
		}
	})
}
