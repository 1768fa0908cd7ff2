package evidence

import (
	"testing"
)

func TestTwoLogsAreEqualAfterOneExchange(t *testing.T) {
	a, b := newNode(t), newNode(t)
	a.labels(t, 0, 30)
	b.labels(t, 10, 25)
	xa, xb := syncLogs(t, a, b)
	if xa.Stored != 15 || xb.Stored != 30 || xa.Sent != 30 || xb.Sent != 15 {
		t.Fatalf("%+v %+v", xa, xb)
	}
	equalEvidence(t, a, b)
	if xa, xb := syncLogs(t, b, a); xa != (Exchanged{}) || xb != (Exchanged{}) {
		t.Fatalf("a second exchange moved %+v %+v", xa, xb)
	}
}
