package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node/api"
	"caucus/node/receipt"
)

// evil would turn a terminal red, write from right to left, and end a quoted argument.
const evil = "\x1b[31mx\u202e\n\"$(id)`"

// fill gives every field of a reply a value that no honest node sends; items is the length of all lists.
func fill(v reflect.Value, items int, number float64) {
	switch v.Kind() {
	case reflect.Pointer:
		if items > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), items, number)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), items, number)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), items, items))
		for i := range items {
			fill(v.Index(i), items, number)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), items, number)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if items > 0 && v.Type().Key().Kind() == reflect.String {
			x := reflect.New(v.Type().Elem()).Elem()
			fill(x, items, number)
			v.SetMapIndex(reflect.ValueOf(evil).Convert(v.Type().Key()), x)
		}
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(evil))
		}
	case reflect.String:
		v.SetString(evil)
	case reflect.Bool:
		v.SetBool(items > 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(number))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(max(number, 0)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(number)
	}
}

// What a node says is a stranger's word to whoever asks it: it may be nonsense, but it must
// neither crash the program nor reach the terminal as anything but text.
func TestWhatAHostileNodeSaysNeitherCrashesNorPaints(t *testing.T) {
	replies := map[string]func() any{
		"/predict":         func() any { return new(api.PredictReply) },
		"/consensus":       func() any { return new(api.ConsensusReply) },
		"/consensus batch": func() any { return new(api.ConsensusBatchReply) },
		"/members":         func() any { return new(api.MembersReply) },
		"/members/forget":  func() any { return new(api.ForgetReply) },
		"/members/remove":  func() any { return new(api.RemoveReply) },
		"/card":            func() any { return new(api.CardReply) },
		"/weights":         func() any { return new(api.WeightsReply) },
		"/review":          func() any { return new(api.ReviewReply) },
		"/feedback":        func() any { return new(api.FeedbackReply) },
		"/readyz":          func() any { return new(api.ReadyReply) },
		"/invite":          func() any { return new(api.InviteReply) },
		"/doctor":          func() any { return new(api.DoctorReply) },
	}
	iris := &api.CardReply{ID: "x", Name: "x", Model: "knn"}
	iris.Task.Name, iris.Task.Features, iris.Task.Labels = "iris", ml.Iris().Task.Features, ml.Iris().Task.Labels
	data := filepath.Join(t.TempDir(), "rows.csv")
	rows := "sepal_length,sepal_width,petal_length,petal_width,label\n5.1,3.5,1.4,0.2,setosa\n6,3,5,2,virginica\n"
	if err := os.WriteFile(data, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := [][]string{
		{"predict", "1", "2", "3", "4"},
		{"predict", "a=1"},
		{"consensus", "1", "2", "3", "4"},
		{"members"},
		{"weights"},
		{"review"},
		{"forget", "x"},
		{"forget", "--failed"},
		{"remove", "x", "--keep-token"},
		{"invite"},
		{"evaluate", "--data", data, "--resamples", "200"},
		{"feedback", "1", "2", "3", "4", "--label", "setosa"},
		{"feedback", "--data", data},
		{"feedback", "--round", "x", "--label", "setosa"},
		{"aggregate"},
		{"doctor"},
		{"healthcheck"},
	}
	for name, kind := range map[string]struct {
		items  int
		number float64
		iris   bool // the card is an honest one
		status int
	}{
		"nothing in it":        {0, 0, false, 200},
		"empty lists":          {0, -1, true, 200},
		"one of each, below 0": {1, -7, true, 200},
		"two of each, large":   {2, 1e9, true, 200},
		"two, far below 0":     {2, -1e9, true, 200},
		"three, its own task":  {3, 1e6, false, 200},
		"a problem":            {2, 503, true, 503},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			path := r.URL.Path
			if path == "/consensus" && strings.Contains(body.String(), "instances") {
				path += " batch"
			}
			make := replies[path]
			if make == nil {
				http.NotFound(w, r)
				return
			}
			reply := make()
			if kind.status != 200 {
				reply = new(api.Problem)
			}
			fill(reflect.ValueOf(reply).Elem(), kind.items, kind.number)
			if path == "/card" && kind.iris {
				reply = iris
			}
			b, err := json.Marshal(reply)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			w.Header().Set("Content-Type", "application/json")
			if kind.status != 200 && path != "/card" {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(kind.status)
			}
			_, _ = w.Write(b)
		}))
		for _, command := range commands {
			t.Run(name+"/"+strings.Join(command, " "), func(t *testing.T) {
				var out, talk bytes.Buffer
				a := &app{
					in: strings.NewReader("1\n2\n3\n4\n"), out: &out, err: &talk, self: "caucus",
					env: func(string) (string, bool) { return "", false },
				}
				args := append([]string{command[0], "--node", server.URL}, command[1:]...)
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("panic: %v\n%s", r, talk.String())
					}
				}()
				run(t.Context(), a, args)
				for where, said := range map[string]string{"output": out.String(), "talk": talk.String()} {
					if i := strings.IndexAny(said, "\x1b\u202e"); i >= 0 {
						t.Errorf("in its %s: %q", where, said[max(0, i-80):min(len(said), i+40)])
					}
					if command[0] == "invite" && strings.Contains(said, "$(id)") && strings.Contains(said, "--join") {
						t.Errorf("a line to paste: %s", said)
					}
				}
			})
		}
		server.Close()
	}
}

// A round in which nobody voted has a receipt too, and that holds.
func TestAReceiptOfARoundWithoutVotesIsShown(t *testing.T) {
	var out, talk bytes.Buffer
	a := &app{out: &out, err: &talk, self: "caucus"}
	r := &receipt.Receipt{Round: "01JQZ8V5M3K4N6P7R8S9T0V1W2", Asked: "x", Row: []float64{5.1}}
	r.Task.Features, r.Task.Labels = []string{"size"}, []string{"setosa", "versicolor"}
	r.Votes = []receipt.Vote{{Voter: "x", Outcome: "timeout", Label: -1}}
	r.Weights.Members = make([]receipt.Member, 1)
	r.Outcome.Label, r.Outcome.Status, r.Outcome.Method = -1, "no_quorum", "majority"
	r.Outcome.Shares = make([]int64, 2)
	rep := &receipt.Report{Receipt: r, Cards: []identity.Card{{ID: "x", Name: "ana", Model: "upstream"}}}
	a.showReceipt(rep)
	if !strings.Contains(out.String(), "no answer") || !strings.Contains(out.String(), "- timeout") || !strings.Contains(out.String(), "status no_quorum\n") {
		t.Errorf("%s", out.String())
	}
	if v := verdictOf(rep, nil); !v.Holds || v.Label != "" {
		t.Errorf("%+v", v)
	}
}
