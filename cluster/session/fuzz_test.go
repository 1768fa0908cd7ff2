package session

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"testing"
)

func FuzzQuestion(f *testing.F) {
	q := sampleQuestion()
	f.Add(q.Append(nil))
	f.Add((&Question{Columns: 1, Rows: []float64{0}}).Append(nil))
	f.Add((&Question{Columns: 1, Rows: []float64{0}, Sign: true, Jointly: true}).Append(nil))
	f.Add((&Question{Columns: MaxColumns, Rows: make([]float64, 2*MaxColumns)}).Append(nil))
	f.Add([]byte{})
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Question
		if err := q.Decode(b); err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if q.Columns < 1 || q.Columns > MaxColumns || q.Len() < 1 || q.Len()*q.Columns != len(q.Rows) || len(q.RequestID) > maxRequestID {
			t.Fatalf("%+v", q)
		}
		for _, v := range q.Rows {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatal(v)
			}
		}
		if !bytes.Equal(q.Append(nil), b) {
			t.Fatal("two encodings of one question")
		}
	})
}

func FuzzAnswer(f *testing.F) {
	a := sampleAnswer()
	f.Add(a.Append(nil))
	f.Add((&Answer{Outcome: 5, Reason: "no"}).Append(nil))
	_, joint := jointVotes(f, newKey(f), "asker", 5)
	f.Add(joint[4].Append(nil))
	f.Add((&Answer{Classes: MaxClasses, Labels: []uint16{1}, Probabilities: make([]uint32, MaxClasses)}).Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Answer
		if err := a.Decode(b); err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if n := len(a.Probabilities); a.Classes > MaxClasses || n != 0 && n != len(a.Labels)*a.Classes {
			t.Fatalf("%+v", a)
		}
		for i := range a.Labels {
			a.RowProbabilities(i)
		}
		// Reason is made printable, so only an answer without one must come out as it was.
		if a.Reason == "" && !bytes.Equal(a.Append(nil), b) {
			t.Fatal("two encodings of one answer")
		}
	})
}

// nowhere is a connection that takes everything and says nothing.
type nowhere struct{ net.Conn }

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Read([]byte) (int, error)    { return 0, io.EOF }
func (nowhere) Close() error                { return nil }
func (nowhere) RemoteAddr() net.Addr        { return nodeAddr("nowhere") }

// FuzzFrames feeds a link, in the middle of some questions, whatever may come
// out of TLS, in pieces of any size.
func FuzzFrames(f *testing.F) {
	ask := appendFrame(nil, frameAsk, 1, append(make([]byte, 4), "quick"...))
	f.Add(ask, uint8(0))
	f.Add(bytes.Repeat(ask, 100), uint8(7))
	f.Add(bytes.Repeat(jointAsk(1), 70), uint8(255))
	f.Add(appendFrame(nil, frameAnswer, 1, []byte("answer")), uint8(3))
	f.Add(append(appendFrame(nil, frameAnswerStart, 1, []byte{0, 0, 0, 6, 'a'}), appendFrame(nil, frameAnswerMore, 1, []byte("nswer"))...), uint8(1))
	f.Add(append(appendFrame(nil, frameAskStart, 9, []byte{0, 0, 0, 6, 'a'}), appendFrame(nil, frameAskMore, 9, []byte("nswer"))...), uint8(1))
	f.Add(appendFrame(nil, frameFailure, 2, []byte{1, 'n', 'o'}), uint8(5))
	f.Add(appendFrame(nil, frameCancel, 9, nil), uint8(5))
	f.Add(appendFrame(appendFrame(nil, framePing, 3, nil), framePong, 4, nil), uint8(5))
	f.Add(appendFrame(appendFrame(nil, frameDrain, 3, nil), frameBye, 4, []byte("bye")), uint8(5))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, uint8(2))
	f.Add([]byte{0, 0, 0, 4, byte(frameMux), 0, 0, 0, 0}, uint8(2))
	m, err := New(Config{Key: newKey(f), Responder: jointEcho{}})
	if err != nil {
		f.Fatal(err)
	}
	peer := newKey(f).ID()
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		if len(b) > maxMuxIn {
			return // nobody reads the mux here
		}
		l := m.newLink(&greeting{base: &countedConn{Conn: nowhere{}}, peer: peer}, true, Direct)
		defer l.stop()
		l.conn = nowhere{}
		answered := 0
		for range 4 {
			if _, err := l.askAsync([]byte("x"), askerFunc(func([]byte, error) { answered++ })); err != nil {
				t.Fatal(err)
			}
		}
		for len(b) > 0 {
			space := l.scan.space()
			if len(space) == 0 {
				t.Fatal("no space for more: the reader would spin")
			}
			n := copy(space[:min(len(space), 1+int(piece))], b)
			b = b[n:]
			l.scan.filled(n)
			if err := l.dealWithAll(); err != nil {
				break
			}
		}
		l.mu.Lock()
		pending, claimed := len(l.pending), l.claimed
		l.mu.Unlock()
		if answered+pending != 4 || claimed < 0 || claimed > maxClaimed {
			t.Fatalf("%d answered, %d pending, %d bytes claimed", answered, pending, claimed)
		}
	})
}
