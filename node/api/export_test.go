package api

import (
	"encoding/json"

	"github.com/getkin/kin-openapi/openapi3"
)

// StrictDocument loads the OpenAPI document for tests, with every object closed: for
// clients objects may grow, but what a node says today must all be documented.
func StrictDocument() (*openapi3.T, error) {
	var raw map[string]any
	if err := json.Unmarshal(openAPI, &raw); err != nil {
		return nil, err
	}
	closeObjects(raw["components"].(map[string]any)["schemas"])
	b, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(b)
}

// closeObjects walks schemas. Examples hold data, not schemas.
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
