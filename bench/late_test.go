//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// twoOfFiveLate asks five nodes, of which two have models behind them that take two seconds. What the
// round waits for is the other three, and its linger of 50 ms.
func twoOfFiveLate(t *testing.T, f *table) {
	const asked = 50
	var late atomic.Bool
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if late.Load() {
			select {
			case <-time.After(2 * time.Second):
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"prediction":0}`)
	}))
	defer model.Close()
	slow := []string{"--upstream", model.URL}
	nodes := startTeam(t, buildBinary(t), irisRow, [][]string{{"--model", "knn"}, {"--model", "randforest"}, {"--model", "svm"}, slow, slow})
	late.Store(true)
	var times []float64
	for range asked {
		var r struct {
			Label   string
			Counted int
		}
		begin := time.Now()
		res, err := http.Get("http://" + nodes[0].address + "/consensus?" + irisRow)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(res.Body).Decode(&r)
		res.Body.Close()
		times = append(times, float64(time.Since(begin)))
		if err != nil || r.Label != "setosa" || r.Counted != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	f.atMost(fmt.Sprintf("a round, two of five nodes two seconds late (%d rounds)", asked), time.Duration(median(times)).Round(100*time.Microsecond), 100*time.Millisecond)
}
