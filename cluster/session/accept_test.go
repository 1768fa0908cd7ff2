package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestARequestWithAnOriginIsForbidden(t *testing.T) {
	b := start(t, nil)
	for _, origin := range []string{"https://evil.example", "null", "", b.url()} {
		h := http.Header{"Origin": {origin}}
		_, r, err := websocket.Dial(t.Context(), b.url()+"/gossip", &websocket.DialOptions{HTTPHeader: h, Subprotocols: []string{subprotocol}})
		if err == nil || r == nil || r.StatusCode != http.StatusForbidden {
			t.Errorf("Origin %q: %v, %v", origin, r, err)
		}
	}
}

func TestRequestsThatAreNoSessionsGetAStatus(t *testing.T) {
	b := start(t, nil)
	for name, tc := range map[string]struct {
		header http.Header
		status int
		want   string
	}{
		"a plain GET": {nil, http.StatusUpgradeRequired, "Upgrade"},
		"a later protocol": {http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Protocol": {"caucus.v2\x1b"},
		}, http.StatusBadRequest, "update caucus"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url()+"/gossip", nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range tc.header {
				r.Header[k] = []string{strings.TrimSuffix(v[0], "\x1b")}
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tc.status || !strings.Contains(string(body), tc.want) || res.Header.Get(protocolHeader) != "1" {
				t.Errorf("%d %q", res.StatusCode, body)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSilentSocketsAreFew(t *testing.T) {
	const sockets, limit = 200, 64
	b := start(t, func(c *Config) { c.MaxUnproven, c.HandshakeTimeout = limit, time.Minute })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		upgraded []net.Conn
		refused  int
	)
	address := strings.TrimPrefix(b.url(), "http://")
	for range sockets {
		wg.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(c, "GET /gossip HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", subprotocol)
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return
			}
			_ = r.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			switch r.StatusCode {
			case http.StatusSwitchingProtocols:
				upgraded = append(upgraded, c)
			case http.StatusServiceUnavailable:
				refused++
				_ = c.Close()
			default:
				t.Errorf("status %d", r.StatusCode)
			}
		})
	}
	wg.Wait()
	if len(upgraded) != limit || refused != sockets-limit {
		t.Errorf("%d upgraded, %d refused", len(upgraded), refused)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	for _, c := range upgraded {
		_ = c.Close()
	}
	eventually(t, "none is counted any more", func() bool { return b.unproven.Load() == 0 })
	a := start(t, nil)
	join(t, a, b) // and there is room again
}

func TestASilentSocketIsSoonClosed(t *testing.T) {
	b := start(t, func(c *Config) { c.HandshakeTimeout = 100 * time.Millisecond })
	for name, say := range map[string]string{"nothing at all": "", "the beginning of a TLS record": "\x16\x03\x01\x02\x00\x01"} {
		t.Run(name, func(t *testing.T) {
			c, _, err := websocket.Dial(t.Context(), b.url()+"/gossip", &websocket.DialOptions{Subprotocols: []string{subprotocol}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			if say != "" {
				if err := c.Write(t.Context(), websocket.MessageBinary, []byte(say)); err != nil {
					t.Fatal(err)
				}
			}
			for err == nil { // until the node hangs up, by itself
				_, _, err = c.Read(t.Context())
			}
			eventually(t, "it is counted no more", func() bool { return b.unproven.Load() == 0 })
		})
	}
	if !strings.Contains(b.log.String(), "did not end within 100ms") {
		t.Error("the log does not say why")
	}
}

func TestGarbageAfterTheUpgradeEndsTheSocket(t *testing.T) {
	b := start(t, nil)
	for name, send := range map[string]func(*websocket.Conn) error{
		"random bytes": func(c *websocket.Conn) error {
			return c.Write(t.Context(), websocket.MessageBinary, []byte("\x16\x03\x01garbage that is no TLS at all"))
		},
		"a TLS handshake without end": func(c *websocket.Conn) error {
			record := append([]byte{0x16, 3, 1, 0x20, 0}, make([]byte, 0x2000)...)
			copy(record[5:], []byte{1, 0, 0xea, 0x60}) // a client's hello of 60,000 bytes
			var err error
			for range 7 {
				if err = c.Write(t.Context(), websocket.MessageBinary, record); err != nil {
					break
				}
			}
			return err
		},
		"a text message": func(c *websocket.Conn) error {
			return c.Write(t.Context(), websocket.MessageText, []byte(`{"hello":1}`))
		},
		"a message over the limit": func(c *websocket.Conn) error {
			return c.Write(t.Context(), websocket.MessageBinary, append([]byte{0x16, 3, 1, 0x40, 0}, make([]byte, 2*maxWSMessage)...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, err := websocket.Dial(t.Context(), b.url()+"/gossip", &websocket.DialOptions{Subprotocols: []string{subprotocol}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			_ = send(c) // may fail, when the node has hung up in its middle
			for err == nil {
				_, _, err = c.Read(t.Context())
			}
			eventually(t, "the socket is given up", func() bool { return b.unproven.Load() == 0 })
			if strings.Contains(b.log.String(), "did not end within") {
				t.Error("only because of its time limit")
			}
			if len(b.Peers()) != 0 {
				t.Error("there is a session")
			}
		})
	}
}

// upgradeAnything opens a WebSocket of no protocol.
func upgradeAnything(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err == nil {
		_, _, _ = c.Read(r.Context())
		_ = c.CloseNow()
	}
}
