// Package apitest loads the OpenAPI document for tests, in the form that holds answers to it.
package apitest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

// Strict loads a document with every object closed: for clients objects may grow, but
// what a node says today must all be documented. The document is not validated yet.
func Strict(document []byte) (*openapi3.T, error) {
	var all map[string]any
	if err := json.Unmarshal(document, &all); err != nil {
		return nil, fmt.Errorf("apitest: the document: %w", err)
	}
	components, _ := all["components"].(map[string]any)
	schemas, ok := components["schemas"].(map[string]any)
	if !ok {
		return nil, errors.New("apitest: the document has no components.schemas")
	}
	closeObjects(schemas)
	b, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(b)
}

// closeObjects lets no schema have other fields than those that it names. Examples hold
// data, not schemas.
func closeObjects(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			closeObjects(e)
		}
	case map[string]any:
		if _, open := v["additionalProperties"]; !open && v["type"] == "object" && v["properties"] != nil {
			v["additionalProperties"] = false
		}
		for key, e := range v {
			if key != "examples" && key != "example" {
				closeObjects(e)
			}
		}
	}
}
