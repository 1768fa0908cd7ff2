package mdns

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

func newToken(t testing.TB) identity.Token {
	t.Helper()
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newID(t testing.TB) identity.ID {
	t.Helper()
	k, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k.ID()
}

func TestARecordIsBelievedByThoseOfTheSameTokenOnly(t *testing.T) {
	a, b, c := newToken(t), newToken(t), newToken(t)
	r := Record{ID: newID(t), URLs: []string{"http://192.168.1.5:5001", "http://[fd00::2]:5001"}}
	for _, test := range []struct {
		name  string
		tells []identity.Token
		reads []identity.Token
		same  bool
	}{
		{"the same", []identity.Token{a}, []identity.Token{a}, true},
		{"another", []identity.Token{a}, []identity.Token{b}, false},
		{"one of two, as in a rotation", []identity.Token{a, b}, []identity.Token{c, b}, true},
		{"both open", nil, nil, true},
		{"open read by one with a token", nil, []identity.Token{a}, false},
		{"a token's read by an open one", []identity.Token{a}, nil, false},
	} {
		txt, err := r.Text(test.tells)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(r.ID, txt, test.reads)
		if test.same && (err != nil || got.ID != r.ID || !slices.Equal(got.URLs, r.URLs)) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
		if !test.same && !errors.Is(err, ErrOther) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
}

func TestARecordTellsNothingOfTheTokenAndIsOfNoUseForOtherAddresses(t *testing.T) {
	token := newToken(t)
	r := Record{ID: newID(t), URLs: []string{"http://192.168.1.5:5001"}}
	txt, err := r.Text([]identity.Token{token})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(txt, " ")
	for _, secret := range []string{token.String(), token.Bearer(), string(token[:]), string(token.DiscoveryKey()), string(token.ProofKey())} {
		if strings.Contains(all, secret) {
			t.Error("the record has the token, or a key of it")
		}
	}
	if len(txt) != 3 || txt[0] != "v=1" || txt[1] != "url=http://192.168.1.5:5001" || !strings.HasPrefix(txt[2], "tag=") || len(txt[2]) != 4+43 {
		t.Errorf("%q", txt)
	}
	for name, change := range map[string]func(txt []string) (identity.ID, []string){
		"another id":  func(txt []string) (identity.ID, []string) { return newID(t), txt },
		"another URL": func(txt []string) (identity.ID, []string) { txt[1] = "url=http://192.168.1.6:5001"; return r.ID, txt },
		"one URL more": func(txt []string) (identity.ID, []string) {
			return r.ID, slices.Insert(txt, 1, "url=http://10.0.0.1:1")
		},
		"a tag's last bit": func(txt []string) (identity.ID, []string) { txt[2] = txt[2][:len(txt[2])-1] + "_"; return r.ID, txt },
		"a tag of an open": func(txt []string) (identity.ID, []string) { txt[2] = "tag=" + r.tag(nil); return r.ID, txt },
	} {
		id, txt := change(slices.Clone(txt))
		if _, err := Parse(id, txt, []identity.Token{token}); !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecordsAreReadStrictly(t *testing.T) {
	token := newToken(t)
	id := newID(t)
	many := slices.Repeat([]string{"url=http://10.0.0.1:1"}, MaxURLs+1)
	for name, txt := range map[string][]string{
		"nothing":             nil,
		"another version":     {"v=2", "url=http://10.0.0.1:1", "tag=x"},
		"no URL":              {"v=1", "tag=x"},
		"a URL that is none":  {"v=1", "url=ftp://10.0.0.1:1", "tag=x"},
		"a URL with a token":  {"v=1", "url=http://10.0.0.1:1/#x", "tag=x"},
		"a URL not as it is":  {"v=1", "url=HTTP://10.0.0.1:1/", "tag=x"},
		"too many URLs":       append([]string{"v=1"}, many...),
		"too many strings":    append([]string{"v=1", "url=http://10.0.0.1:1"}, slices.Repeat([]string{"tag=x"}, 20)...),
		"a URL after a tag":   {"v=1", "url=http://10.0.0.1:1", "tag=x", "url=http://10.0.0.1:2"},
		"a string of another": {"v=1", "url=http://10.0.0.1:1", "txtvers=1"},
	} {
		if _, err := Parse(id, txt, []identity.Token{token}); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse("printer", []string{"v=1", "url=http://10.0.0.1:1", "tag=x"}, nil); !errors.Is(err, ErrRecord) {
		t.Errorf("an id that is none: %v", err)
	}
	if _, err := (Record{ID: id, URLs: []string{"http://" + strings.Repeat("a", 260)}}).Text(nil); !errors.Is(err, ErrRecord) {
		t.Errorf("a URL that no string of a TXT record holds: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	id := newID(f)
	token := newToken(f)
	txt, err := Record{ID: id, URLs: []string{"http://192.168.1.5:5001"}}.Text([]identity.Token{token})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(id), strings.Join(txt, "\n"))
	f.Add("printer", "txtvers=1")
	f.Fuzz(func(t *testing.T, id, text string) {
		r, err := Parse(identity.ID(id), strings.Split(text, "\n"), []identity.Token{token})
		if err == nil && (len(r.URLs) == 0 || len(r.URLs) > MaxURLs) {
			t.Errorf("%+v", r)
		}
	})
}
