package dialect

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"caucus/node/consensus"
)

// tensor is one input of a model behind the Open Inference Protocol.
type tensor struct {
	name, datatype string
	feature        int  // the column that it takes; -1: all of them
	flat           bool // its shape is [rows] rather than [rows,1]
}

// tensors writes the question of the Open Inference Protocol: one tensor of all rows, or one
// a feature, as the model's own metadata wants it.
func tensors(t *Target, rows [][]float64) any {
	type input struct {
		Name     string    `json:"name"`
		Shape    []int     `json:"shape"`
		Datatype string    `json:"datatype"`
		Data     []float64 `json:"data"`
	}
	specs := t.inputs
	if specs == nil {
		specs = []tensor{{name: "input-0", datatype: "FP64", feature: -1}}
	}
	inputs := make([]input, len(specs))
	for i, spec := range specs {
		in := input{Name: spec.name, Datatype: spec.datatype, Shape: []int{len(rows), 1}}
		for _, row := range rows {
			if spec.feature < 0 {
				in.Data = append(in.Data, row...)
			} else {
				in.Data = append(in.Data, row[spec.feature])
			}
		}
		switch {
		case spec.feature < 0:
			in.Shape[1] = len(t.Task.Features)
		case spec.flat:
			in.Shape = in.Shape[:1]
		}
		inputs[i] = in
	}
	return map[string]any{"inputs": inputs}
}

// maxModels is how many models of one server are looked at.
const maxModels = 4

// learnTensors asks the server which models it has, where none was typed, and what each takes.
func learnTensors(ctx context.Context, c *Client, t Target) []Target {
	paths := infer(&t)
	if len(paths) == 1 && !strings.Contains(t.Base.Path, inferPath) {
		paths = c.indexed(ctx, &t, paths)
	}
	var out []Target
	for _, path := range paths {
		spec, ok := c.metadata(ctx, &t, strings.TrimSuffix(path, "/infer"))
		if !ok {
			continue
		}
		next := t
		next.path, next.inputs = path, spec
		out = append(out, next)
	}
	return out
}

// indexed returns the paths of the models that the server lists, the task's own first.
func (c *Client) indexed(ctx context.Context, t *Target, paths []string) []string {
	u := *t.Base
	u.Path = rootOf(t.Base) + "/v2/repository/index"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader("{}"))
	if err != nil {
		return paths
	}
	req.Header.Set("Content-Type", "application/json")
	body, r := c.exchange(req)
	var models []struct {
		Name  string `json:"name"`
		State string `json:"state"`
	}
	if r.Outcome != consensus.OK || json.Unmarshal(body, &models) != nil {
		return paths
	}
	for _, m := range models {
		path := rootOf(t.Base) + inferPath + m.Name + "/infer"
		if m.Name != "" && len(paths) < maxModels && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// metadata reads what a model takes. A server need not tell: then it is asked in the usual way
// if its path was typed.
func (c *Client) metadata(ctx context.Context, t *Target, path string) ([]tensor, bool) {
	u := *t.Base
	u.Path = path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, false
	}
	body, r := c.exchange(req)
	var meta struct {
		Inputs []struct {
			Name     string `json:"name"`
			Datatype string `json:"datatype"`
			Shape    []int  `json:"shape"`
		} `json:"inputs"`
	}
	if r.Outcome != consensus.OK || json.Unmarshal(body, &meta) != nil {
		return nil, strings.Contains(t.Base.Path, inferPath)
	}
	numeric := func(datatype string) string {
		if strings.HasPrefix(datatype, "FP") || strings.HasPrefix(datatype, "INT") {
			return datatype
		}
		return "FP64"
	}
	n := len(t.Task.Features)
	switch len(meta.Inputs) {
	case 0:
		return nil, true
	case 1:
		in := meta.Inputs[0]
		if n > 1 || len(in.Shape) != 1 {
			return []tensor{{name: in.Name, datatype: numeric(in.Datatype), feature: -1}}, true
		}
		return []tensor{{name: in.Name, datatype: numeric(in.Datatype), feature: 0, flat: true}}, true
	case n:
	default:
		return nil, false // it wants something else than this task's rows
	}
	out := make([]tensor, n)
	named := true
	for i, in := range meta.Inputs {
		out[i] = tensor{name: in.Name, datatype: numeric(in.Datatype), feature: slices.Index(t.spelt(), in.Name), flat: len(in.Shape) == 1}
		named = named && out[i].feature >= 0
	}
	if !named { // by place, then
		for i := range out {
			out[i].feature = i
		}
	}
	return out, true
}
