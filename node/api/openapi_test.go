package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"caucus/node/api/apitest"
)

func strictDocument() (*openapi3.T, error) { return apitest.Strict(openAPI) }

func TestTheDocumentIsValidAndSoAreItsExamples(t *testing.T) {
	for name, load := range map[string]func() (*openapi3.T, error){
		"as served":           func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(openAPI) },
		"with closed schemas": strictDocument,
	} {
		doc, err := load()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !doc.IsOpenAPI31OrLater() {
			t.Fatal("it is not OpenAPI 3.1")
		}
		if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation(), openapi3.EnableMultiError()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryExampleOfASchemaFitsIt(t *testing.T) {
	doc, err := strictDocument()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, ref := range doc.Components.Schemas {
		for i, example := range ref.Value.Examples {
			n++
			if err := ref.Value.VisitJSON(example, openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("example %d of %s: %v", i, name, err)
			}
		}
	}
	if n == 0 {
		t.Error("no schema has examples")
	}
	// The check itself must be able to fail.
	if err := doc.Components.Schemas["HealthReply"].Value.VisitJSON(map[string]any{"status": "ok", "node": "x", "name": "ana"}, openapi3.EnableJSONSchema2020()); err == nil {
		t.Error("an id that is none fits")
	}
}

var ginParameter = regexp.MustCompile(`[:*](\w+)`)

func TestEveryRouteIsDocumentedAndEveryDocumentedRouteExists(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Gossip, cfg.Relay = http.NotFoundHandler(), &fakeRelay{} })
	served, documented := map[string]bool{}, map[string]bool{}
	for _, r := range a.engine.Routes() {
		served[r.Method+" "+ginParameter.ReplaceAllString(r.Path, "{$1}")] = true
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			key := method + " " + path
			documented[key] = true
			if !served[key] {
				t.Errorf("%s is in openapi.json, but there is no such route", key)
			}
			var names []string
			for _, p := range append(slices.Clone(item.Parameters), op.Parameters...) {
				if p.Value.In == "path" {
					names = append(names, "{"+p.Value.Name+"}")
				}
			}
			if inPath := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1); !slices.Equal(names, inPath) {
				t.Errorf("%s has the path parameters %v, documented are %v", key, inPath, names)
			}
		}
	}
	for key := range served {
		if path, isGet := strings.CutPrefix(key, "GET "); isGet && served["HEAD "+path] == (path == eventsRoute || strings.HasSuffix(path, gossipRoute)) {
			t.Errorf("%s: HEAD is not as the document says of all", key)
		}
		get, isHead := strings.CutPrefix(key, "HEAD ")
		if isHead && served["GET "+get] {
			continue // said once for all in the document
		}
		if !documented[key] {
			t.Errorf("%s is served, but not in openapi.json", key)
		}
	}
}

func TestLocalRoutesAreDocumentedAsSuch(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Bearer = "key" })
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if path == gossipRoute {
				continue // proves identity and token itself
			}
			w := serve(a, method, ginPath(path), "{}", func(r *http.Request) { r.RemoteAddr = "203.0.113.9:1234" })
			if refused, local := w.Code == http.StatusUnauthorized, op.Security != nil; refused != local {
				t.Errorf("%s %s answers a stranger %d, but security in openapi.json says %v", method, path, w.Code, op.Security)
			}
		}
	}
}

func ginPath(path string) string { return regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "x") }

// documentedTypes are the replies and what they are made of.
var documentedTypes = []any{
	PredictReply{},
	PredictBatchReply{},
	Vote{},
	ConsensusReply{},
	BatchRow{},
	NodeVotes{},
	ConsensusBatchReply{},
	Member{},
	MembersReply{},
	TaskReply{},
	FeatureRange{},
	EvaluationReply{},
	CardReply{},
	RoundSummary{},
	RoundAsked{},
	RoundVote{},
	RoundDecided{},
	InviteReply{},
	RoundsReply{},
	ShortVote{},
	RoundReply{},
	HealthReply{},
	ReadyReply{},
	ForgetReply{},
	RemoveReply{},
	RotateReply{},
	Missing{},
	Problem{},
	FeedbackRow{},
	FeedbackReply{},
	MemberWeight{},
	Recall{},
	RuleWeight{},
	ErrorPair{},
	Labeller{},
	AutoRule{},
	WeightsReply{},
	ReviewRound{},
	ReviewReply{},
	OIPServer{},
	OIPLive{},
	OIPReady{},
	OIPModel{},
	OIPTensorMeta{},
	OIPModelReady{},
	OIPError{},
}

func TestSchemasHaveTheFieldsOfTheTypes(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range documentedTypes {
		typ := reflect.TypeOf(v)
		ref := doc.Components.Schemas[typ.Name()]
		if ref == nil {
			t.Errorf("there is no schema %s", typ.Name())
			continue
		}
		all, always := jsonFields(typ)
		var documented []string
		for name := range ref.Value.Properties {
			documented = append(documented, name)
		}
		required := slices.Clone(ref.Value.Required)
		for _, s := range [][]string{all, always, documented, required} {
			slices.Sort(s)
		}
		if !slices.Equal(all, documented) {
			t.Errorf("%s has the fields %v, its schema %v", typ.Name(), all, documented)
		}
		if !slices.Equal(always, required) {
			t.Errorf("%s always has %v, its schema requires %v", typ.Name(), always, required)
		}
	}
}

func jsonFields(typ reflect.Type) (all, always []string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			a, b := jsonFields(f.Type)
			all, always = append(all, a...), append(always, b...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		all = append(all, name)
		if !strings.Contains(options, "omit") {
			always = append(always, name)
		}
	}
	return all, always
}

func TestEveryKindOfProblemIsDocumented(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas struct {
				Problem struct {
					Properties struct{ Type struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	var want []string
	for kind := range kinds {
		want = append(want, typePrefix+kind)
	}
	got := doc.Components.Schemas.Problem.Properties.Type.Enum
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("documented %v\nthere are  %v", got, want)
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Bearer = "key" })
	w := serve(a, "GET", "/openapi.json", "", func(r *http.Request) { r.RemoteAddr = "203.0.113.9:1234" })
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != string(openAPI) {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
