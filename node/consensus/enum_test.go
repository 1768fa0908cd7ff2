package consensus

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNamesOnTheWire(t *testing.T) {
	outcomeWords := "pending ok abstain timeout connect_error bad_schema bad_label bad_signature wrong_identity ejected shed internal " +
		"http_error too_large bad_json tls_error refused_redirect blocked_address"
	for i, name := range strings.Fields(outcomeWords) {
		o := Outcome(i)
		var back Outcome
		if err := back.UnmarshalText([]byte(name)); err != nil || back != o || o.String() != name {
			t.Errorf("outcome %d is %q and %q reads as %d, %v", i, o, name, back, err)
		}
		if failed := name != "ok" && name != "abstain" && name != "pending"; o.Failed() != failed {
			t.Errorf("%s failed: %t", name, o.Failed())
		}
	}
	for i, name := range []string{"auto", "majority", "weighted", "soft", "em"} {
		if m, err := ParseMethod(name); err != nil || m != Method(i) || m.String() != name {
			t.Errorf("method %d is %q and %q reads as %d, %v", i, Method(i), name, m, err)
		}
	}
	for i, name := range []string{"undecided", "ok", "degraded", "tie", "minority", "single", "no_quorum"} {
		var back Status
		if err := back.UnmarshalText([]byte(name)); err != nil || back != Status(i) || back.String() != name {
			t.Errorf("status %d is %q and %q reads as %d, %v", i, Status(i), name, back, err)
		}
	}
}

func TestEnumsAreTextInJSON(t *testing.T) {
	type all struct {
		O Outcome
		M Method
		S Status
	}
	const want = `{"O":"tls_error","M":"soft","S":"no_quorum"}`
	got, err := json.Marshal(all{TLSError, Soft, NoQuorum})
	if err != nil || string(got) != want {
		t.Fatalf("%s, %v", got, err)
	}
	var back all
	if err := json.Unmarshal(got, &back); err != nil || back != (all{TLSError, Soft, NoQuorum}) {
		t.Fatalf("%+v, %v", back, err)
	}
}

func TestUnknownNamesAndNumbersAreErrors(t *testing.T) {
	_, err := ParseMethod(strings.Repeat("x", 1000))
	if err == nil || len(err.Error()) > 150 || !strings.Contains(err.Error(), "use one of auto, majority, weighted, soft, em") {
		t.Errorf("%v", err)
	}
	for _, v := range []interface{ MarshalText() ([]byte, error) }{outcomes, methods, statuses, Outcome(255)} {
		if text, err := v.MarshalText(); err == nil {
			t.Errorf("%v marshals as %s", v, text)
		}
	}
	if s := Outcome(99).String(); s != "outcome(99)" {
		t.Errorf("%q", s)
	}
}
