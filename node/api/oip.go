package api

import (
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// The Open Inference Protocol, version 2, over REST. Two models are served: the node's own,
// named after its task, and consensus, which is a round of the whole cluster.
// Source: https://github.com/kserve/open-inference-protocol (inference_rest.md and
// open_inference_rest.yaml). Errors are {"error":"..."} there, and so they are under /v2.

const (
	oipPrefix    = "/v2"
	oipConsensus = "consensus" // the cluster as a model
	oipVersion   = "1"         // of every model; a node has one at a time
	oipInput     = "input-0"   // what we call the tensor of whole rows; callers may name it as they like
	oipLabels    = "predict"
	oipShares    = "predict_proba"
)

// OIPServer answers GET /v2.
type OIPServer struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// OIPLive answers GET /v2/health/live.
type OIPLive struct {
	Live bool `json:"live"`
}

// OIPReady answers GET /v2/health/ready. The protocol's text has live in it and other
// servers have ready; the status code is what counts.
type OIPReady struct {
	Live  bool `json:"live"`
	Ready bool `json:"ready"`
}

// OIPModel answers GET /v2/models/{model}.
type OIPModel struct {
	Name     string          `json:"name"`
	Versions []string        `json:"versions"`
	Platform string          `json:"platform"`
	Inputs   []OIPTensorMeta `json:"inputs"`
	Outputs  []OIPTensorMeta `json:"outputs"`
}

// OIPTensorMeta describes a tensor; -1 stands for any number of rows.
type OIPTensorMeta struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// OIPModelReady answers GET /v2/models/{model}/ready.
type OIPModelReady struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

// OIPError is every reply under /v2 that is not a success.
type OIPError struct {
	Message string `json:"error"`
}

// mountOIP adds the protocol's routes. They are public, like /predict and /consensus.
func (a *API) mountOIP() {
	get := func(path string, h func(*gin.Context) (any, error)) {
		a.engine.GET(path, a.plain(h))
		a.engine.HEAD(path, a.plain(h))
	}
	get(oipPrefix, a.oipServer)
	get(oipPrefix+"/", a.oipServer) // the protocol's OpenAPI file has the slash, its text has not
	get(oipPrefix+"/health/live", func(*gin.Context) (any, error) { return OIPLive{Live: true}, nil })
	get(oipPrefix+"/health/ready", a.oipReady)
	for _, model := range []string{oipPrefix + "/models/:model", oipPrefix + "/models/:model/versions/:version"} {
		get(model, a.oipModel)
		get(model+"/ready", a.oipModelReady)
		a.engine.POST(model+"/infer", a.oipInfer)
	}
}

// isOIP reports whether errors at this path have the protocol's form.
func isOIP(path string) bool {
	return path == oipPrefix || strings.HasPrefix(path, oipPrefix+"/")
}

// oipError puts a problem into the protocol's form, which has room for one sentence:
// the first remedy goes into it too.
func oipError(p *Problem) OIPError {
	if len(p.WhatToDo) > 0 {
		return OIPError{Message: p.Message + "; " + p.WhatToDo[0]}
	}
	return OIPError{Message: p.Message}
}

// oipName is what the node's own model is called: its task's name, or its kind where that
// is empty or taken.
func (a *API) oipName() string {
	if name := a.node.Card().Task.Name; name != "" && name != oipConsensus {
		return name
	}
	return a.info.Model
}

// oipTarget finds the model that the path names. together is true for the cluster's.
func (a *API) oipTarget(c *gin.Context) (name string, together bool, err error) {
	name = c.Param("model")
	if v, ok := c.Params.Get("version"); ok && v != oipVersion {
		return "", false, Problemf(NotFound, "model %q has no version %q; it has version %s alone", shown(name), shown(v), oipVersion)
	}
	if name == oipConsensus {
		return name, true, nil
	}
	if own := a.oipName(); name != own {
		return "", false, Problemf(NotFound, "there is no model %q here; there are %q, this node's own, and %q, the whole cluster", shown(name), shown(own), oipConsensus)
	}
	return name, false, nil
}

func (a *API) oipServer(*gin.Context) (any, error) {
	return OIPServer{Name: "caucus", Version: a.info.Version, Extensions: []string{"classification"}}, nil
}

func (a *API) oipReady(c *gin.Context) (any, error) {
	if _, err := a.readyz(c); err != nil {
		return nil, err
	}
	return OIPReady{Live: true, Ready: true}, nil
}

func (a *API) oipModel(c *gin.Context) (any, error) {
	name, together, err := a.oipTarget(c)
	if err != nil {
		return nil, err
	}
	platform := "golearn_" + a.info.Model
	if a.info.Model == "upstream" {
		platform = "caucus_upstream" // whatever is behind it
	}
	if together {
		platform = "caucus_consensus"
	}
	m := OIPModel{
		Name: name, Versions: []string{oipVersion}, Platform: platform,
		Inputs: []OIPTensorMeta{{Name: oipInput, Datatype: "FP64", Shape: []int{-1, len(a.info.Features)}}},
	}
	for _, output := range a.oipOutputs(together) {
		meta := OIPTensorMeta{Name: output, Datatype: "BYTES", Shape: []int{-1, 1}}
		if output == oipShares {
			meta.Datatype, meta.Shape = "FP64", []int{-1, len(a.info.Labels)}
		}
		m.Outputs = append(m.Outputs, meta)
	}
	return m, nil
}

// oipOutputs names what a model gives. Not every model has probabilities; a round has shares.
func (a *API) oipOutputs(together bool) []string {
	if together || a.info.Probabilistic {
		return []string{oipLabels, oipShares}
	}
	return []string{oipLabels}
}

// oipModelReady: a node that has not found its cluster yet answers by its own model already.
func (a *API) oipModelReady(c *gin.Context) (any, error) {
	name, together, err := a.oipTarget(c)
	if err != nil {
		return nil, err
	}
	if _, err := a.readyz(c); err != nil && (together || !onlyTheClusterIsMissing(err)) {
		return nil, err
	}
	return OIPModelReady{Name: name, Ready: true}, nil
}

func onlyTheClusterIsMissing(err error) bool {
	return slices.Contains([]string{Joining, QuorumNotReached, Removed}, problemOf(err).Kind())
}

// oipLabelList names the columns of predict_proba.
func (a *API) oipLabelList() string { return strings.Join(a.info.Labels, ",") }
