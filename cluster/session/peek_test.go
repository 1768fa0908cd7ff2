package session

import "testing"

func TestAQuestionsSizeShowsWithoutDecodingIt(t *testing.T) {
	for _, c := range []struct {
		id   string
		rows int
		sign bool
		join bool
	}{{"", 1, false, false}, {"req-1", 1, true, true}, {"01JQZ8V5M3K4N6P7R8S9T0V1W2", 300, true, false}} {
		q := Question{RequestID: c.id, Columns: 4, Rows: make([]float64, 4*c.rows), Sign: c.sign, Jointly: c.join}
		if rows, sign, jointly := PeekQuestion(q.Append(nil)); rows != c.rows || sign != c.sign || jointly != c.join {
			t.Errorf("%+v: %d rows, sign %v, jointly %v", c, rows, sign, jointly)
		}
	}
	whole := (&Question{Columns: 4, Rows: make([]float64, 4), Sign: true}).Append(nil)
	for n := range 57 {
		if rows, _, _ := PeekQuestion(whole[:min(n, 56)]); rows != 0 {
			t.Errorf("%d bytes of it have %d rows", n, rows)
		}
	}
}
