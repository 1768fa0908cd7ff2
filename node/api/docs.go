package api

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

//go:embed docs/page.tmpl docs/style.css
var docsFiles embed.FS

// docs is the page at /docs: the OpenAPI document as HTML, with no script and nothing
// from elsewhere. It is made when it is first asked for.
type docs struct {
	make func() (*docsPage, error)
}

// docsPage is what the template shows.
type docsPage struct {
	*spec
	Sections []docsSection
	Schemas  []docsSchema
	template *template.Template
}

type docsSection struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description string
	Local                                  bool
	Parameters                             []docsParameter
	Body                                   []part
	Answers                                []docsAnswer
	Examples                               []docsExample // of the reply
	Calls                                  []docsCall
}

type docsParameter struct {
	Name, In, Description string
	Required              bool
	Type                  []part
}

type docsAnswer struct {
	Status, Description string
	Type                []part
}

type docsExample struct{ What, JSON string }

// docsCall is a curl line. What stands before the address and behind it is kept apart,
// because the address is the reader's.
type docsCall struct{ What, Options, Path, Data string }

type docsSchema struct {
	Name, Description string
	Type              []part
	Fields            []docsField
	Forms             []docsForm
	Examples          []docsExample
}

// docsForm is one of several that an object may have.
type docsForm struct {
	Name   string
	Fields []docsField
}

type docsField struct {
	Name, Description string
	Required          bool
	Type              []part
}

func newDocs() *docs { return &docs{make: sync.OnceValues(newDocsPage)} }

// page answers GET /docs.
func (d *docs) page(c *gin.Context) error {
	if _, err := onlyKnown(c.Request.URL.RawQuery); err != nil {
		return err
	}
	p, err := d.make()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	err = p.template.Execute(&out, struct {
		*docsPage
		Base string
	}{p, docsBase(c.Request)})
	if err != nil {
		return err
	}
	c.Writer.Header()["Content-Type"] = []string{"text/html; charset=utf-8"}
	_, _ = c.Writer.Write(out.Bytes())
	return nil
}

// style answers GET /docs/style.css: a policy without inline styles wants it apart.
func (d *docs) style(c *gin.Context) {
	css, _ := docsFiles.ReadFile("docs/style.css")
	c.Writer.Header()["Content-Type"] = []string{"text/css; charset=utf-8"}
	_, _ = c.Writer.Write(css)
}

// docsBase is the address that the reader came by, for lines to paste into a shell;
// nothing odd may get into them.
func docsBase(r *http.Request) string {
	if r.Host == "" || strings.Trim(r.Host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") != "" {
		return "http://localhost:5001"
	}
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func newDocsPage() (*docsPage, error) {
	p := &docsPage{spec: new(spec)}
	if err := json.Unmarshal(openAPI, p.spec); err != nil {
		return nil, err
	}
	for _, tag := range p.Tags {
		s := docsSection{Name: tag.Name, Description: tag.Description}
		for _, path := range p.Paths {
			for _, m := range []struct {
				method string
				op     *specOperation
			}{{http.MethodGet, path.Value.Get}, {http.MethodPost, path.Value.Post}} {
				if m.op != nil && len(m.op.Tags) > 0 && m.op.Tags[0] == tag.Name {
					s.Operations = append(s.Operations, p.operation(path.Key, m.method, path.Value.Parameters, m.op))
				}
			}
		}
		p.Sections = append(p.Sections, s)
	}
	for _, e := range p.Components.Schemas {
		p.Schemas = append(p.Schemas, p.schema(e.Key, &e.Value))
	}
	var err error
	p.template, err = template.New("page.tmpl").Funcs(template.FuncMap{
		"paragraphs": func(s string) []string { return strings.Split(s, "\n\n") },
		"segments":   func(path string) []string { return strings.SplitAfter(path, "/") },
	}).ParseFS(docsFiles, "docs/page.tmpl")
	return p, err
}

func (p *docsPage) operation(path, method string, shared []specParameter, op *specOperation) docsOperation {
	d := docsOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description, Local: len(op.Security) > 0}
	target := path
	query := ""
	for _, q := range append(append([]specParameter{}, shared...), op.Parameters...) {
		if r, ok := p.Components.Parameters.at(q.Ref); ok {
			q = r
		}
		d.Parameters = append(d.Parameters, docsParameter{q.Name, q.In, q.Description, q.Required, q.Schema.words()})
		var text string
		switch _ = json.Unmarshal(q.Example, &text); {
		case q.In == "path":
			target = strings.ReplaceAll(target, "{"+q.Name+"}", url.PathEscape(text))
		case query == "" && q.Explode != nil && *q.Explode:
			query = docsQuery(q.Example)
		}
	}
	if query != "" {
		target += "?" + query
	}
	if op.RequestBody == nil {
		d.Calls = []docsCall{{Path: target}}
	} else {
		d.body(p, target, op.RequestBody)
	}
	for _, r := range op.Responses {
		d.answer(p, r.Key, r.Value)
	}
	return d
}

// docsQuery writes an example of parameters by name.
func docsQuery(example json.RawMessage) string {
	var values ordered[json.Number]
	if json.Unmarshal(example, &values) != nil {
		return ""
	}
	pairs := make([]string, len(values))
	for i, v := range values {
		pairs[i] = url.QueryEscape(v.Key) + "=" + v.Value.String()
	}
	return strings.Join(pairs, "&")
}

func (d *docsOperation) body(p *docsPage, target string, body *specBody) {
	b := *body
	if r, ok := p.Components.RequestBodies.at(b.Ref); ok {
		b = r
	}
	for _, m := range b.Content {
		d.Body = m.Value.Schema.words()
		for _, e := range m.Value.Examples {
			var data bytes.Buffer
			if json.Compact(&data, e.Value.Value) == nil {
				d.Calls = append(d.Calls, docsCall{e.Value.Summary, "-H 'Content-Type: " + m.Key + "'", target, data.String()})
			}
		}
	}
}

func (d *docsOperation) answer(p *docsPage, status string, r specResponse) {
	if known, ok := p.Components.Responses.at(r.Ref); ok {
		r = known
	}
	a := docsAnswer{Status: status, Description: r.Description}
	for _, m := range r.Content {
		a.Type = m.Value.Schema.words()
		if len(m.Value.Example) > 0 {
			d.Examples = append(d.Examples, docsExample{status, dedent(m.Value.Example)})
		}
		if status == "200" {
			for _, w := range a.Type {
				if s, ok := p.Components.Schemas.at(w.Link); ok && len(s.Examples) > 0 {
					d.Examples = append(d.Examples, docsExample{"200, " + w.Text, dedent(s.Examples[0])})
				}
			}
		}
	}
	d.Answers = append(d.Answers, a)
}

func (p *docsPage) schema(name string, s *specSchema) docsSchema {
	d := docsSchema{Name: name, Description: s.Description, Fields: p.fields(s)}
	for i := range s.OneOf {
		if f := p.fields(&s.OneOf[i]); len(f) > 0 {
			d.Forms = append(d.Forms, docsForm{s.OneOf[i].Title, f})
		}
	}
	if len(d.Fields) == 0 && len(d.Forms) == 0 {
		d.Type = s.words()
	}
	for _, e := range s.Examples {
		d.Examples = append(d.Examples, docsExample{JSON: dedent(e)})
	}
	return d
}

func (p *docsPage) fields(s *specSchema) []docsField {
	var out []docsField
	for _, f := range s.Properties {
		required := false
		for _, r := range s.Required {
			required = required || r == f.Key
		}
		description := f.Value.Description
		if of, ok := p.Components.Schemas.at(f.Value.Ref); ok && description == "" {
			description = of.Description
		}
		out = append(out, docsField{f.Key, description, required, f.Value.words()})
	}
	var more specSchema
	if len(s.AdditionalProperties) > 0 && s.AdditionalProperties[0] == '{' && json.Unmarshal(s.AdditionalProperties, &more) == nil && len(out) > 0 {
		out = append(out, docsField{Name: "any other", Type: more.words(), Description: "a feature, by name or as feature0, feature1 and so on"})
	}
	return out
}

// dedent takes an example as it stands in the document, where lines were broken with
// care, and takes away what it is indented by.
func dedent(example json.RawMessage) string {
	lines := strings.Split(string(example), "\n")
	cut := -1
	for _, l := range lines[1:] {
		if n := len(l) - len(strings.TrimLeft(l, " ")); cut < 0 || n < cut {
			cut = n
		}
	}
	for i := 1; i < len(lines); i++ {
		lines[i] = lines[i][cut:]
	}
	return strings.Join(lines, "\n")
}
