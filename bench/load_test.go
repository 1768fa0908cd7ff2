//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// load is what one run of closed-loop clients saw.
type load struct {
	perSecond     float64
	p50, p99      time.Duration
	failed, total int
}

// offer keeps connections open to address and sends request on each, the next as
// soon as the answer is whole, for a while. It is written on bare sockets, because
// on two cores whatever the client costs is taken from the servers it measures.
func offer(address string, request []byte, connections int, during time.Duration) (load, error) {
	var (
		mu        sync.Mutex
		latencies []time.Duration
		failed    int
		firstErr  error
		group     sync.WaitGroup
	)
	begin := time.Now()
	until := begin.Add(during)
	for range connections {
		group.Go(func() {
			mine, bad, err := client(address, request, until)
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, mine...)
			failed += bad
			if firstErr == nil {
				firstErr = err
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	if firstErr != nil {
		return load{}, firstErr
	}
	if len(latencies) == 0 {
		return load{}, fmt.Errorf("%s answered nothing in %s", address, during)
	}
	slices.Sort(latencies)
	return load{
		perSecond: float64(len(latencies)) / took.Seconds(),
		p50:       latencies[len(latencies)/2],
		p99:       latencies[len(latencies)*99/100],
		failed:    failed,
		total:     len(latencies),
	}, nil
}

func client(address string, request []byte, until time.Time) (latencies []time.Duration, failed int, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 32<<10)
	latencies = make([]time.Duration, 0, 1<<16)
	for now := time.Now(); now.Before(until); {
		if _, err := conn.Write(request); err != nil {
			return latencies, failed, err
		}
		status, err := readAnswer(in)
		if err != nil {
			return latencies, failed, err
		}
		if status != 200 {
			failed++
		}
		then := now
		now = time.Now()
		latencies = append(latencies, now.Sub(then))
	}
	return latencies, failed, nil
}

// readAnswer takes one answer off the wire: status line, headers, and a body of
// Content-Length bytes or in chunks.
func readAnswer(in *bufio.Reader) (status int, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("not an HTTP answer: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("not an HTTP answer: %q", line)
	}
	length, chunked := 0, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	if !chunked {
		_, err = in.Discard(length)
		return status, err
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return 0, err
		}
		if _, err := in.Discard(int(size) + 2); err != nil {
			return 0, err
		}
		if size == 0 {
			return status, nil
		}
	}
}

// get is a keep-alive GET of path.
func get(address, path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address)
}
