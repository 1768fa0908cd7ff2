package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

// keepAlive sends one GET again and again on one connection.
func keepAlive(b *testing.B, addr, path string) func() []byte {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r := bufio.NewReader(conn)
	return func() []byte {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(res, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			b.Fatal(err)
		}
		return body
	}
}

// BenchmarkPredict compares /predict, of a node whose model costs nothing, with an empty
// Gin handler behind the same middleware, for the same query and a reply of the same
// size. The two are taken turn and turn about, and the median of the ratios is reported.
func BenchmarkPredict(b *testing.B) {
	const query = "?feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2"
	a := newAPI(b, &fakeNode{})
	var reply []byte
	a.engine.GET("/empty", func(c *gin.Context) {
		c.Writer.Header()["Content-Type"] = headerJSON
		_, _ = c.Writer.Write(reply)
	})
	server := httptest.NewServer(a)
	defer server.Close()
	addr := server.Listener.Addr().String()
	ours, empty := keepAlive(b, addr, "/predict"+query), keepAlive(b, addr, "/empty"+query)
	reply = ours()
	const burst = 1000
	perSecond := func(f func() []byte) float64 {
		start := time.Now()
		for range burst {
			f()
		}
		return burst / time.Since(start).Seconds()
	}
	var ratios []float64
	for b.Loop() {
		ratios = append(ratios, perSecond(ours)/perSecond(empty))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-an-empty-handler")
}

// BenchmarkPredictHandler is the handler alone, without the network.
func BenchmarkPredictHandler(b *testing.B) {
	a := newAPI(b, &fakeNode{})
	req := httptest.NewRequest(http.MethodGet, "/predict?feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2", nil)
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		a.ServeHTTP(w, req)
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
