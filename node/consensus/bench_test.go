package consensus

import (
	"fmt"
	"testing"
)

// newBench returns a function that counts one round of n voters and three classes: votes
// one by one, asking after each whether the label is certain, and the result.
func newBench(method Method, n int) func() {
	members, votes := benchRound(n)
	var c Counter
	var out Result
	count := func() {
		if err := c.Reset(Rule{Method: method, Classes: 3}, members); err != nil {
			panic(err)
		}
		for i := range votes {
			c.AddAt(i, &votes[i])
			if c.Certain() && i == n-1 {
				break
			}
		}
		c.Result(&out)
	}
	count() // the slices grow once
	return count
}

func benchRound(n int) ([]Member, []Vote) {
	members := make([]Member, n)
	votes := make([]Vote, n)
	for i := range members {
		id := fmt.Sprintf("k3fq7az2cn5d%020d", i)
		members[i] = Member{ID: id, Weight: One + Millionths(i)}
		votes[i] = Vote{
			Voter: id, Outcome: OK, Label: i % 3 / 2, Weight: One + Millionths(i),
			Probabilities: []Millionths{700_000, 200_000, 100_000},
		}
	}
	return members, votes
}

func BenchmarkCounter(b *testing.B) {
	for _, method := range []Method{Majority, Weighted, Soft} {
		for _, n := range []int{3, 7} {
			b.Run(fmt.Sprintf("%s/%d", method, n), func(b *testing.B) {
				count := newBench(method, n)
				b.ReportAllocs()
				for b.Loop() {
					count()
				}
			})
		}
	}
}

func BenchmarkTally(b *testing.B) {
	_, votes := benchRound(3)
	invited := []string{votes[0].Voter, votes[1].Voter, votes[2].Voter}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Tally(Rule{Method: Soft, Classes: 3}, invited, votes); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLearn(b *testing.B) {
	for _, rows := range []int{30, 1000} {
		c := crowd{random: newRandom(1), classes: 3, skills: []float64{.9, .9, .8, .7, .6}}
		peers := c.peers()
		var records []Record
		for row := range rows {
			truth, said := c.labels()
			records = append(records, record(row, truth, peers, said))
		}
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			for b.Loop() {
				if _, err := Learn(3, peers, records); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFitEM(b *testing.B) {
	c := crowd{random: newRandom(1), classes: 10, skills: []float64{.9, .9, .8, .7, .6}}
	_, columns := c.batch(10_000, 0)
	for b.Loop() {
		if _, err := FitEM(10, columns); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLn(b *testing.B) {
	x := 1.25
	for b.Loop() {
		x = 1 + ln(x+1)
	}
}
