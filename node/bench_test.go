package node_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"caucus/node/api"
	"caucus/node/nodetest"
)

const irisQuery = "feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2"

// load sends one GET again and again on a connection of its own, with as little client
// as possible: the machine's cores are for the server.
func load(b *testing.B, addr, path string) func() {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r := bufio.NewReader(conn)
	return func() {
		if _, err := conn.Write(request); err != nil {
			b.Error(err)
			return
		}
		if code, err := readReply(r); err != nil || code != http.StatusOK {
			b.Errorf("status %d: %v", code, err)
		}
	}
}

// readReply reads one reply with a known length and drops its body.
func readReply(r *bufio.Reader) (int, error) {
	status, length := 0, 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return status, err
		}
		switch {
		case first:
			status, _ = strconv.Atoi(string(line[9:12]))
		case len(line) > 16 && string(line[:16]) == "Content-Length: ":
			length, _ = strconv.Atoi(string(line[16 : len(line)-2]))
		case len(line) == 2:
			_, err := io.CopyN(io.Discard, r, int64(length))
			if err != nil {
				return status, err
			}
			return status, nil
		}
	}
}

// BenchmarkConsensus plays rounds over HTTP against one of three nodes in this process.
func BenchmarkConsensus(b *testing.B) {
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d connections", connections), func(b *testing.B) {
			nodes := nodetest.Start(b, 3)
			b.ReportAllocs()
			run(b, connections, func() func() { return load(b, nodes[0].Addr(), "/consensus?"+irisQuery) })
		})
	}
}

// BenchmarkConsensusWatched is BenchmarkConsensus while a page listens to /events.
func BenchmarkConsensusWatched(b *testing.B) {
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d connections", connections), func(b *testing.B) {
			nodes := nodetest.Start(b, 3)
			res := nodes[0].Get("/events?mine=nobody")
			defer res.Body.Close()
			go func() { _, _ = io.Copy(io.Discard, res.Body) }()
			b.ReportAllocs()
			run(b, connections, func() func() { return load(b, nodes[0].Addr(), "/consensus?"+irisQuery) })
		})
	}
}

// BenchmarkConsensusWithReceipt is BenchmarkConsensus where the voters sign and the reply carries a receipt.
func BenchmarkConsensusWithReceipt(b *testing.B) {
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d connections", connections), func(b *testing.B) {
			nodes := nodetest.Start(b, 3)
			b.ReportAllocs()
			run(b, connections, func() func() { return load(b, nodes[0].Addr(), "/consensus?receipt=true&"+irisQuery) })
		})
	}
}

// BenchmarkConsensusWithLabels is BenchmarkConsensus after a hundred labels, counted by weights.
func BenchmarkConsensusWithLabels(b *testing.B) {
	nodes := nodetest.Start(b, 3)
	var rows [][]float64
	var labels []string
	for i, row := range nodetest.IrisRows()[:100] {
		rows, labels = append(rows, row), append(labels, []string{"setosa", "versicolor"}[i/50])
	}
	if _, err := nodes[0].Client.Feedback(b.Context(), rows, labels); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	run(b, 1, func() func() { return load(b, nodes[0].Addr(), "/consensus?method=weighted&"+irisQuery) })
}

// run shares b.N calls out among so many connections.
func run(b *testing.B, connections int, open func() func()) {
	calls := make([]func(), connections)
	for i := range calls {
		calls[i] = open()
	}
	work := make(chan struct{}, connections)
	done := make(chan struct{})
	b.ResetTimer()
	for i := range calls {
		go func() {
			for range work {
				calls[i]()
			}
			done <- struct{}{}
		}()
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	for range calls {
		<-done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rounds/s")
}

// BenchmarkBatch asks three nodes about 10,000 rows in one round.
func BenchmarkBatch(b *testing.B) {
	nodes := nodetest.Start(b, 3)
	rows := make([][]float64, 0, 10_050)
	for len(rows) < 10_000 {
		rows = append(rows, nodetest.IrisRows()...)
	}
	rows = rows[:10_000]
	for b.Loop() {
		r, err := nodes[0].Client.ConsensusBatch(b.Context(), rows, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Counted != 3 {
			b.Fatal(r, err)
		}
	}
}
