package node_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api/apitest"
	"caucus/node/nodetest"
)

// checker holds what a node answers against the OpenAPI document, whose objects are
// closed: nothing may be in an answer that is not in the document.
type checker struct {
	t       *testing.T
	doc     *openapi3.T
	base    string
	kinds   map[string]bool // seen, such as GET /predict 200
	answers int
}

// newChecker asks the node itself for the document.
func newChecker(t *testing.T, base string) *checker {
	t.Helper()
	res, err := http.Get(base + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := apitest.Strict(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &checker{t: t, doc: doc, base: base, kinds: map[string]bool{}}
}

// route finds the documented route of a request; literal segments win.
func (c *checker) route(method, path string) (*routers.Route, map[string]string) {
	var found *routers.Route
	var foundParams map[string]string
	segments := strings.Split(path, "/")
	for template, item := range c.doc.Paths.Map() {
		parts := strings.Split(template, "/")
		op := item.GetOperation(method)
		if len(parts) != len(segments) || op == nil {
			continue
		}
		params, fits := map[string]string{}, true
		for i, p := range parts {
			if strings.HasPrefix(p, "{") {
				params[strings.Trim(p, "{}")] = segments[i]
			} else if p != segments[i] {
				fits = false
			}
		}
		if fits && (found == nil || len(params) < len(foundParams)) {
			found = &routers.Route{Spec: c.doc, Path: template, PathItem: item, Method: method, Operation: op}
			foundParams = params
		}
	}
	return found, foundParams
}

// ask sends a request and checks the answer. A request that is answered must fit the
// document itself.
func (c *checker) ask(status int, method, target, body string, change ...func(*http.Request)) []byte {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, f := range change {
		f(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	what := fmt.Sprintf("%s %s: %d", method, target, res.StatusCode)
	if res.StatusCode != status {
		c.t.Errorf("%s, want %d: %s", what, status, b)
		return b
	}
	if id := res.Header.Get("X-Request-Id"); id == "" {
		c.t.Errorf("%s has no request id", what)
	}
	route, params := c.route(method, req.URL.Path)
	if route == nil {
		c.t.Errorf("%s is not in the document", what)
		return b
	}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route}
	if status < 400 && body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
		if err := openapi3filter.ValidateRequestBody(c.t.Context(), in, route.Operation.RequestBody.Value); err != nil {
			c.t.Errorf("%s was taken, but its body does not fit the document: %v", what, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: !strings.Contains(res.Header.Get("Content-Type"), "json")},
	}
	out.SetBodyBytes(b)
	if err := openapi3filter.ValidateResponse(c.t.Context(), out); err != nil {
		c.t.Errorf("%s does not fit the document: %v\n%s", what, err, b)
	}
	if kind := strings.TrimSpace(strings.Split(res.Header.Get("Content-Type"), ";")[0]); route.Operation.Responses.Status(status) != nil {
		if content := route.Operation.Responses.Status(status).Value.Content; content.Get(kind) == nil {
			c.t.Errorf("%s has the type %q, which is not documented", what, kind)
		}
	}
	c.kinds[fmt.Sprintf("%s %s %d", method, route.Path, status)] = true
	c.answers++
	return b
}

// problem asks for something that no operation documents: another method, or nowhere.
func (c *checker) problem(status int, method, target, schema string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+target, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != status {
		c.t.Errorf("%s %s: %d, want %d", method, target, res.StatusCode, status)
	}
	c.fits(schema, b)
}

// asked plays a round of one row and returns its id.
func (c *checker) asked() string {
	c.t.Helper()
	var reply struct{ Round string }
	if err := json.Unmarshal(c.ask(200, "GET", "/consensus"+flowerQuery+"&wait=all", ""), &reply); err != nil {
		c.t.Fatal(err)
	}
	return reply.Round
}

// event reads a stream until the first event of a name and checks its data.
// event reads until there was an event of each name, and holds all against the schemas of
// their names. happen is called once the node is being watched.
func (c *checker) event(target string, schemas map[string]string, happen func()) {
	c.t.Helper()
	res, err := http.Get(c.base + target)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	if res.Header.Get("Content-Type") != "text/event-stream" {
		c.t.Fatalf("%s: %v", target, res.Header)
	}
	seen := map[string]bool{}
	for len(seen) < len(schemas) && lines.Scan() {
		name, ok := strings.CutPrefix(lines.Text(), "event: ")
		if !ok {
			continue
		}
		lines.Scan()
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || schemas[name] == "" {
			c.t.Fatalf("%s: %q after the event %s", target, lines.Text(), name)
		}
		c.fits(schemas[name], []byte(data))
		if !seen[name] && name == "members" {
			happen()
		}
		seen[name] = true
	}
	if len(seen) < len(schemas) {
		c.t.Errorf("%s: only the events %v", target, seen)
	}
}

func (c *checker) fits(schema string, b []byte) {
	c.t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		c.t.Fatalf("%v in %s", err, b)
	}
	if err := c.doc.Components.Schemas[schema].Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
		c.t.Errorf("no %s: %v\n%s", schema, err, b)
	}
}

const (
	flowerQuery = "?feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2"
	flowerBody  = `{"features":[5.1,3.5,1.4,0.2]}`
	batchBody   = `{"instances":[[5.1,3.5,1.4,0.2],{"sepal_length":6.7,"sepal_width":3,"petal_length":5.2,"petal_width":2.3},[6,2.7,5.1,1.6]]}`
	tensorBody  = `{"id":"42","inputs":[{"name":"input-0","shape":[2,4],"datatype":"FP32","data":[[5.1,3.5,1.4,0.2],[6.7,3,5.2,2.3]]}]}`
	columnsBody = `{"parameters":{"content_type":"pd"},"inputs":[{"name":"sepal_length","shape":[1],"datatype":"FP64","data":[5.1]},{"name":"sepal_width","shape":[1],"datatype":"FP64","data":[3.5]},
		{"name":"petal_length","shape":[1,1],"datatype":"FP64","data":[[1.4]]},{"name":"petal_width","shape":[1],"datatype":"FP64","data":[0.2]}],"outputs":[{"name":"predict_proba"}]}`
)

func TestRunningNodesAnswerAsDocumented(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	nodes := nodetest.Start(t, 3)
	c := newChecker(t, nodes[0].URL)

	c.ask(200, "GET", "/predict"+flowerQuery, "")
	c.ask(200, "GET", "/predict?features=5.1,3.5,1.4,0.2&pretty=true", "")
	c.ask(200, "GET", "/doctor", "")
	c.ask(400, "GET", "/predict?feature0=a", "")
	c.ask(400, "GET", "/predict"+flowerQuery+"&colour=red", "")
	c.ask(200, "POST", "/predict", flowerBody)
	c.ask(200, "POST", "/predict", `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`)
	c.ask(200, "POST", "/predict", batchBody)
	c.ask(400, "POST", "/predict", `{"features":[1,2]}`)
	c.ask(413, "POST", "/predict", `{"features":[`+strings.Repeat(" ", 70<<10))
	c.ask(415, "POST", "/predict", flowerBody, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	c.ask(403, "POST", "/predict", flowerBody, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })

	c.ask(200, "GET", "/consensus"+flowerQuery+"&wait=all&method=majority", "")
	for _, method := range []string{"auto", "majority", "weighted", "soft"} {
		c.ask(200, "POST", "/consensus", `{"features":[6,2.7,5.1,1.6],"wait":"all","method":"`+method+`"}`)
	}
	c.ask(200, "POST", "/consensus", `{"instances":[[5.1,3.5,1.4,0.2]],"quorum":2,"timeout":"1s","models":["knn","randforest"],"minority":true}`)
	c.ask(200, "POST", "/consensus", batchBody)
	c.ask(200, "POST", "/consensus?probabilities=true", batchBody)
	c.ask(200, "POST", "/consensus", `{"method":"em","instances":[[5.1,3.5,1.4,0.2]`+strings.Repeat(",[6,2.7,5.1,1.6]", 60)+`]}`)
	c.ask(400, "GET", "/consensus"+flowerQuery+"&method=best", "")
	c.ask(400, "POST", "/consensus", `{"features":[1,2,3,4],"method":"em"}`)
	c.ask(503, "GET", "/consensus"+flowerQuery+"&quorum=9", "")
	c.ask(503, "POST", "/consensus", `{"instances":[[5.1,3.5,1.4,0.2]],"quorum":9}`)
	c.ask(200, "GET", "/consensus"+flowerQuery+"&quorum=9&minority=true", "")

	for _, model := range []string{"iris", "consensus"} {
		path := "/v2/models/" + model
		for _, p := range []string{path, path + "/versions/1"} {
			c.ask(200, "GET", p, "")
			c.ask(200, "GET", p+"/ready", "")
			c.ask(200, "POST", p+"/infer", tensorBody)
			c.ask(200, "POST", p+"/infer", columnsBody)
			c.ask(400, "POST", p+"/infer", `{"inputs":[{"name":"x","shape":[1,4],"datatype":"BYTES","data":["a","b","c","d"]}]}`)
			c.ask(415, "POST", p+"/infer", tensorBody, func(r *http.Request) { r.Header.Set("Content-Type", "application/octet-stream") })
		}
	}
	c.ask(200, "POST", "/v2/models/consensus/infer", `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[6,2.7,5.1,1.6]}],"outputs":[{"name":"predict_proba","parameters":{"classification":2}}]}`)
	c.ask(503, "POST", "/v2/models/consensus/infer", `{"parameters":{"quorum":9},"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}]}`)
	c.ask(404, "GET", "/v2/models/wine", "")
	c.ask(404, "POST", "/v2/models/iris/versions/2/infer", tensorBody)
	for _, p := range []string{"/v2", "/v2/", "/v2/health/live", "/v2/health/ready"} {
		c.ask(200, "GET", p, "")
		c.ask(400, "GET", p+"?x=1", "")
	}

	for _, p := range []string{"/members", "/card", "/rounds", "/rounds?limit=2", "/healthz", "/readyz", "/metrics", "/", "/openapi.json", "/docs", "/docs/style.css"} {
		c.ask(200, "GET", p, "")
	}
	for _, p := range []string{"/members", "/card", "/rounds", "/healthz", "/readyz"} {
		c.ask(400, "GET", p+"?limit=x", "")
	}
	rounds, err := nodes[0].Client.Rounds(t.Context(), 0)
	if err != nil || len(rounds.Rounds) == 0 {
		t.Fatalf("%v %v", rounds, err)
	}
	for _, r := range rounds.Rounds {
		c.ask(200, "GET", "/rounds/"+r.Round, "")
	}
	c.ask(404, "GET", "/rounds/unknown", "")
	c.ask(200, "POST", "/members/forget", `{"failed":true}`)
	c.ask(400, "POST", "/members/forget", `{}`)

	c.problem(404, "GET", "/nowhere", "Problem")
	c.problem(405, "DELETE", "/predict", "Problem")
	c.problem(404, "GET", "/v2/nowhere", "OIPError")
	c.problem(405, "GET", "/v2/models/iris/infer", "OIPError")

	c.event("/events", map[string]string{"members": "MembersReply", "weights": "WeightsReply", "asked": "RoundAsked", "vote": "RoundVote", "decided": "RoundDecided", "round": "RoundSummary"},
		func() { c.ask(200, "GET", "/consensus"+flowerQuery, "") })
	c.ask(200, "GET", "/invite", "")
	c.ask(400, "GET", "/invite?x=1", "")

	c.ask(200, "GET", "/review", "")
	c.ask(200, "GET", "/review?limit=1", "")
	c.ask(400, "GET", "/review?limit=0", "")
	c.ask(200, "GET", "/weights", "")
	for _, label := range []string{"setosa", "setosa", "virginica"} { // recorded, known, replaced
		c.ask(200, "POST", "/feedback", `{"features":[5.1,3.5,1.4,0.2],"label":"`+label+`"}`)
	}
	c.ask(200, "POST", "/feedback", `{"round":"`+c.asked()+`","label":"setosa"}`)
	c.ask(200, "POST", "/feedback", `{"instances":[[5.1,3.5,1.4,0.2],[6.7,3,5.2,2.3]],"labels":["setosa","virginica"]}`)
	c.ask(400, "POST", "/feedback", `{"features":[5.1,3.5,1.4,0.2],"label":"rose"}`)
	c.ask(404, "POST", "/feedback", `{"round":"01M867352QNPYGGXTJDXF4C3D4","label":"setosa"}`)
	c.ask(415, "POST", "/feedback", `{}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	c.ask(200, "GET", "/weights", "")
	c.ask(400, "GET", "/weights?x=1", "")
	c.ask(400, "GET", "/weights?rows=perhaps", "")
	c.ask(200, "GET", "/weights?rows=true", "")
	c.ask(200, "GET", "/members", "")
	c.ask(200, "GET", "/consensus"+flowerQuery+"&method=weighted", "")

	// One is gone: degraded. Two are: no quorum, and who is missing is told.
	nodes[2].Kill()
	nodes[0].WaitState(nodes[2].Name(), "failed")
	if b := c.ask(200, "GET", "/consensus"+flowerQuery, ""); !strings.Contains(string(b), `"status":"degraded"`) {
		t.Errorf("%s", b)
	}
	c.ask(200, "POST", "/consensus", batchBody)
	nodes[1].Kill()
	nodes[0].WaitState(nodes[1].Name(), "failed")
	for _, body := range []string{flowerBody, batchBody} {
		if b := c.ask(503, "POST", "/consensus", body); !strings.Contains(string(b), `"missing":[`) {
			t.Errorf("%s", b)
		}
	}
	c.ask(503, "POST", "/v2/models/consensus/infer", tensorBody)
	c.ask(200, "GET", "/consensus"+flowerQuery+"&minority=true", "")
	c.ask(200, "GET", "/members", "")
	c.ask(200, "GET", "/rounds", "")
	c.ask(503, "POST", "/members/remove", `{"name":"`+nodes[1].Name()+`"}`)
	c.ask(200, "POST", "/members/forget", `{"names":["`+nodes[1].Name()+`"]}`)
	c.ask(200, "POST", "/members/remove", `{"name":"`+string(nodes[1].ID())+`"}`)
	c.ask(200, "GET", "/members", "")
	c.ask(200, "POST", "/members/remove", `{"name":"`+string(nodes[1].ID())+`","undo":true}`)
	c.ask(400, "POST", "/members/remove", `{"name":"`+nodes[1].Name()+`","undo":true}`)
	t.Logf("%d answers of %d kinds fit the document", c.answers, len(c.kinds))
}

func TestOtherNodesAnswerAsDocumentedToo(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	t.Run("a node by itself, whose model has no probabilities", func(t *testing.T) {
		n := nodetest.StartOne(t, 3)
		c := newChecker(t, n.URL)
		c.ask(200, "GET", "/predict"+flowerQuery, "")
		c.ask(200, "POST", "/predict", batchBody)
		c.ask(200, "GET", "/consensus"+flowerQuery, "")
		c.ask(200, "GET", "/v2/models/iris", "")
		c.ask(200, "POST", "/v2/models/iris/infer", tensorBody)
		c.ask(400, "POST", "/v2/models/iris/infer", columnsBody)
		c.ask(200, "GET", "/card", "")
	})
	t.Run("a tie and a model that panics", func(t *testing.T) {
		nodes := nodetest.Start(t, 3, nodetest.ModelOf(0, nodetest.Constant("a", 0)), nodetest.ModelOf(1, nodetest.Constant("b", 1)), nodetest.ModelOf(2, nodetest.Panicking("c")))
		c := newChecker(t, nodes[0].URL)
		if b := c.ask(200, "GET", "/consensus"+flowerQuery+"&wait=all", ""); !strings.Contains(string(b), `"tie":true`) || !strings.Contains(string(b), `"outcome":"internal"`) {
			t.Errorf("%s", b)
		}
		c.ask(200, "POST", "/consensus", batchBody)
		newChecker(t, nodes[2].URL).ask(500, "GET", "/predict"+flowerQuery, "")
		newChecker(t, nodes[2].URL).ask(500, "POST", "/v2/models/iris/infer", tensorBody)
	})
	t.Run("a node with a token", func(t *testing.T) {
		token, err := identity.NewToken()
		if err != nil {
			t.Fatal(err)
		}
		n := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Token = &token })
		c := newChecker(t, n.URL)
		elsewhere := func(r *http.Request) { r.Host = "node.example" }
		for _, p := range []string{"/members", "/rounds", "/rounds/x", "/metrics", "/invite", "/docs", "/events", "/weights", "/review"} {
			c.ask(401, "GET", p, "", elsewhere)
		}
		c.ask(401, "POST", "/members/forget", `{"failed":true}`, elsewhere)
		c.ask(401, "POST", "/members/remove", `{"name":"bo"}`, elsewhere)
		c.ask(401, "POST", "/feedback", `{"features":[5.1,3.5,1.4,0.2],"label":"setosa"}`, elsewhere)
		c.ask(200, "GET", "/members", "", elsewhere, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.Bearer()) })
		c.ask(200, "GET", "/openapi.json", "", elsewhere)
	})
}
