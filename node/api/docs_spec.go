package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// The parts of an OpenAPI document that the page at /docs shows. Order is kept: it was
// chosen by who wrote the document.

// entry is a member of an object.
type entry[T any] struct {
	Key   string
	Value T
}

// ordered is a JSON object whose members stay in order.
type ordered[T any] []entry[T]

// UnmarshalJSON implements json.Unmarshaler.
func (o *ordered[T]) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("api: want an object, got %v", t)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var e entry[T]
		e.Key, _ = key.(string)
		if err := dec.Decode(&e.Value); err != nil {
			return err
		}
		*o = append(*o, e)
	}
	return nil
}

// at finds what a reference such as #/components/schemas/Vote names.
func (o ordered[T]) at(ref string) (T, bool) {
	name := ref[strings.LastIndexByte(ref, '/')+1:]
	for i := range o {
		if o[i].Key == name {
			return o[i].Value, true
		}
	}
	var none T
	return none, false
}

type spec struct {
	Info struct {
		Title, Summary, Description, Version string
	}
	Tags []struct {
		Name, Description string
	}
	Paths      ordered[specPath]
	Components struct {
		SecuritySchemes ordered[struct{ Description string }]
		Parameters      ordered[specParameter]
		RequestBodies   ordered[specBody]
		Responses       ordered[specResponse]
		Schemas         ordered[specSchema]
	}
}

type specPath struct {
	Parameters []specParameter
	Get, Post  *specOperation
}

type specOperation struct {
	OperationID, Summary, Description string
	Tags                              []string
	Security                          []map[string][]string
	Parameters                        []specParameter
	RequestBody                       *specBody
	Responses                         ordered[specResponse]
}

type specParameter struct {
	Ref                   string `json:"$ref"`
	Name, In, Description string
	Required              bool
	Explode               *bool
	Schema                *specSchema
	Example               json.RawMessage
}

type specBody struct {
	Ref     string `json:"$ref"`
	Content ordered[specMedia]
}

type specResponse struct {
	Ref         string `json:"$ref"`
	Description string
	Content     ordered[specMedia]
}

type specMedia struct {
	Schema   *specSchema
	Example  json.RawMessage
	Examples ordered[struct {
		Summary string
		Value   json.RawMessage
	}]
}

type specSchema struct {
	Ref                              string `json:"$ref"`
	Title, Description               string
	Type                             json.RawMessage // a text or a list of texts
	Enum                             []any
	Const                            any
	Minimum, Maximum                 *json.Number
	Items                            *specSchema
	AnyOf, OneOf                     []specSchema
	Required                         []string
	Properties                       ordered[specSchema]
	AdditionalProperties             json.RawMessage // a schema or false
	Examples                         []json.RawMessage
	MinLength, MaxItems, MinItems    *int
	Pattern, Format, ContentEncoding string
}

// part is a piece of a type in words; Link is a schema's name.
type part struct{ Text, Link string }

// words says in words what a schema takes.
func (s *specSchema) words() []part {
	if s == nil {
		return nil
	}
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return []part{{Text: name, Link: name}}
	case s.Const != nil:
		return []part{{Text: fmt.Sprint(s.Const)}}
	case len(s.Enum) > 0:
		texts := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			texts[i] = fmt.Sprint(v)
		}
		return []part{{Text: listed(texts)}}
	case len(s.AnyOf) > 0:
		return either(s.AnyOf)
	case len(s.OneOf) > 0:
		return either(s.OneOf)
	}
	kinds := s.kinds()
	var more specSchema
	typed := len(s.AdditionalProperties) > 0 && s.AdditionalProperties[0] == '{' && json.Unmarshal(s.AdditionalProperties, &more) == nil
	switch {
	case s.Items != nil:
		list := append([]part{{Text: "list of "}}, many(s.Items.words())...)
		if len(kinds) > 1 {
			list = append(list, part{Text: " or null"})
		}
		return list
	case typed && len(s.Properties) == 0:
		return append([]part{{Text: "object of "}}, many(more.words())...)
	}
	text := listed(kinds)
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		text += fmt.Sprintf(", %s to %s", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		text += fmt.Sprintf(", at least %s", *s.Minimum)
	}
	return []part{{Text: text}}
}

// many puts a plain word into the plural; the names of schemas stay as they are.
func many(of []part) []part {
	if len(of) != 1 || of[0].Link != "" {
		return of
	}
	kind, bounds, _ := strings.Cut(of[0].Text, ",")
	switch kind {
	case "number", "whole number", "text":
		kind += "s"
	}
	if bounds != "" {
		kind += "," + bounds
	}
	return []part{{Text: kind}}
}

// kinds are the JSON types in everyday words.
func (s *specSchema) kinds() []string {
	var names []string
	var name string
	if json.Unmarshal(s.Type, &name) == nil {
		names = []string{name}
	} else if json.Unmarshal(s.Type, &names) != nil {
		return []string{"anything"}
	}
	for i, n := range names {
		switch n {
		case "string":
			names[i] = "text"
			if s.Format == "date-time" {
				names[i] = "time (RFC 3339)"
			}
		case "integer":
			names[i] = "whole number"
		case "boolean":
			names[i] = "true or false"
		}
	}
	return names
}

func either(of []specSchema) []part {
	var out []part
	for i := range of {
		if i > 0 {
			out = append(out, part{Text: " or "})
		}
		if of[i].Title != "" {
			out = append(out, part{Text: of[i].Title})
			continue
		}
		out = append(out, of[i].words()...)
	}
	return out
}

func listed(texts []string) string {
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	return strings.Join(texts[:len(texts)-1], ", ") + " or " + texts[len(texts)-1]
}
