package evidence

import (
	"testing"

	"caucus/cluster/identity"
)

func withVotes(b *testing.B, n *node, voters []*identity.Key, row int) Labelling {
	b.Helper()
	k := rowKey(row+1, row)
	var votes []Vote
	for _, v := range voters {
		votes = append(votes, vote(v, n.key.ID(), k, row%3, 0, One, 0))
	}
	return Labelling{Key: k, Label: row % 3, Votes: votes}
}

func keys(b *testing.B, n int) []*identity.Key {
	b.Helper()
	out := make([]*identity.Key, n)
	for i := range out {
		out[i] = newKey(b)
	}
	return out
}

// full makes a log with 1,000 records, of three votes each, of each of some labellers.
func full(b *testing.B, labellers int, mod func(*Config)) *node {
	b.Helper()
	voters := keys(b, 3)
	hub := open(b, newKey(b), mod)
	for range labellers {
		n := newNode(b)
		var in []Labelling
		for row := range MaxKept {
			in = append(in, withVotes(b, n, voters, row))
		}
		if _, err := n.Append(in...); err != nil {
			b.Fatal(err)
		}
		syncLogs(b, hub, n)
	}
	return hub
}

func BenchmarkAppendInMemory(b *testing.B) {
	n, voters := newNode(b), keys(b, 3)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		in := withVotes(b, n, voters, i)
		b.StartTimer()
		if _, err := n.Append(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendOnDisk(b *testing.B) {
	n, voters := open(b, newKey(b), onDisk(b.TempDir())), keys(b, 3)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		in := withVotes(b, n, voters, i)
		b.StartTimer()
		if _, err := n.Append(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSync fetches 1,000 records of three votes.
func BenchmarkSync(b *testing.B) {
	hub := full(b, 1, nil)
	for b.Loop() {
		n := newNode(b)
		if x, _ := syncLogs(b, n, hub); x.Stored != MaxKept {
			b.Fatal(x)
		}
	}
}

// BenchmarkOpen opens a file of 5 x 1,000 records of three votes.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	hub := full(b, 5, onDisk(dir))
	hub.Close()
	for b.Loop() {
		l, err := Open(Config{Key: hub.key, Task: testTask, Classes: testClasses, StateDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if l.Snapshot().Records() != 5*MaxKept {
			b.Fatal(l.Snapshot().Records())
		}
		l.Close()
	}
}

// BenchmarkRows replays and tabulates 5 x 1,000 records of three votes.
func BenchmarkRows(b *testing.B) {
	hub := full(b, 5, nil)
	for b.Loop() {
		s := newSnapshot(hub.Log)
		if len(s.Rows()) == 0 {
			b.Fatal("no rows")
		}
	}
}

// BenchmarkSnapshot makes the snapshot, with its digest, that each change makes, with 256 chains.
func BenchmarkSnapshot(b *testing.B) {
	n := newNode(b)
	for range MaxOrigins {
		n.receive(b, forge(b, newKey(b), nil, nil), Stored)
	}
	for b.Loop() {
		newSnapshot(n.Log)
	}
}
