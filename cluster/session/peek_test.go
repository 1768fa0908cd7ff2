package session

import "testing"

func TestAQuestionsSizeShowsWithoutDecodingIt(t *testing.T) {
	for _, c := range []struct {
		id   string
		rows int
		sign bool
	}{{"", 1, false}, {"req-1", 1, true}, {"01JQZ8V5M3K4N6P7R8S9T0V1W2", 300, true}} {
		q := Question{RequestID: c.id, Columns: 4, Rows: make([]float64, 4*c.rows), Sign: c.sign}
		if rows, sign := PeekQuestion(q.Append(nil)); rows != c.rows || sign != c.sign {
			t.Errorf("%+v: %d rows, sign %v", c, rows, sign)
		}
	}
	whole := (&Question{Columns: 4, Rows: make([]float64, 4), Sign: true}).Append(nil)
	for n := range 57 {
		if rows, _ := PeekQuestion(whole[:min(n, 56)]); rows != 0 {
			t.Errorf("%d bytes of it have %d rows", n, rows)
		}
	}
}
