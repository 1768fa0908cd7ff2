package api

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// oipRequest is a decoded request to infer. The rows and the options of a round are in
// the input that it was decoded into.
type oipRequest struct {
	id      string
	outputs []oipOutput // asked for, in order; empty: all
	given   bool        // inputs were
	inputs  []oipTensor
}

// oipOutput is one output that is asked for.
type oipOutput struct {
	name string
	top  int // Triton's classification: so many of the likeliest classes as texts; 0: the numbers
}

// oipTensor is one input. Its numbers lie one after another in the values that all
// inputs share.
type oipTensor struct {
	name, datatype string
	shape          []int
	dims           []int // lengths of the lists that data was written in
	from, to       int
	bools          bool // true or false is among data
	seen           []string
}

const (
	maxOIPID = 1024
	// Far above what a body can hold, and an int on every processor.
	maxOIPValues = math.MaxInt32
	oipExample   = `{"inputs":[{"name":"input-0","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}]}`
)

// oipTypes are the data types of numbers with the least and greatest whole number that
// they hold; 0, 0: not confined to whole numbers.
var oipTypes = map[string][2]float64{
	"FP16": {}, "BF16": {}, "FP32": {}, "FP64": {},
	"BOOL": {0, 1},
	"INT8": {-1 << 7, 1<<7 - 1}, "INT16": {-1 << 15, 1<<15 - 1}, "INT32": {-1 << 31, 1<<31 - 1}, "INT64": {-1 << 63, 1<<63 - 1},
	"UINT8": {0, 1<<8 - 1}, "UINT16": {0, 1<<16 - 1}, "UINT32": {0, 1<<32 - 1}, "UINT64": {0, 1<<64 - 1},
}

// readOIP reads the body of a request to infer.
func (in *input) readOIP(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Inference-Header-Content-Length") != "" || strings.HasPrefix(r.Header.Get("Content-Type"), "application/octet-stream") {
		return NewProblem(UnsupportedMedia, "tensors as binary data are an extension that this node does not have; send the numbers in JSON (binary_data=False in tritonclient's set_data_from_numpy)")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return Problemf(UnsupportedMedia, "the body is encoded as %q; send it as it is", shown(e))
	}
	if err := jsonContent(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	if r.ContentLength > maxBatch {
		return Problemf(TooLarge, "the body has %d bytes, larger than the %d that it may have; send fewer rows at once", r.ContentLength, maxBatch)
	}
	var err error
	// One byte more, so that MaxBytesReader has a chance to see that there is too much.
	in.body, err = readUpTo(in.body, http.MaxBytesReader(w, r.Body, maxBatch), maxBatch+1)
	return bodyError(err)
}

// oip decodes a request to infer into rows and, for a round, its options.
func (in *input) oip(deadline time.Duration) (*oipRequest, error) {
	s := scanner{b: in.body}
	switch s.peek() {
	case 0:
		return nil, NewProblem(BadInput, "the body is empty; send "+oipExample)
	case '{':
	default:
		return nil, NewProblem(BadInput, "the body is not a JSON object; send "+oipExample)
	}
	req := new(oipRequest)
	err := s.object(1, func(key string) error {
		switch key {
		case "id":
			return req.readID(&s)
		case "parameters":
			return in.oipParameters(&s, "parameters", deadline)
		case "inputs":
			return in.oipInputs(&s, req)
		case "outputs":
			return req.readOutputs(&s)
		}
		_, err := s.skip(1) // model_name and what other servers' clients add
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err == nil && !req.given {
		err = NewProblem(BadInput, "inputs is missing; send "+oipExample)
	}
	if err == nil {
		err = in.oipRows(req)
	}
	if err != nil {
		return nil, err
	}
	in.q.Batch = in.q.N != 1
	return req, nil
}

func (req *oipRequest) readID(s *scanner) error {
	if s.literal("null") {
		return nil
	}
	if s.peek() != '"' {
		return NewProblem(BadInput, `id is not a text; write it in double quotes: {"id":"42",...}`)
	}
	id, err := s.str()
	if err == nil && len(id) > maxOIPID {
		return Problemf(BadInput, "id has %d bytes; it may have %d", len(id), maxOIPID)
	}
	req.id = id
	return err
}

// oipParameters reads those of the request. The options of a round are taken from them;
// others are hints for other servers, and no error.
func (in *input) oipParameters(s *scanner, where string, deadline time.Duration) error {
	return oipObject(s, where, 2, func(key string) error {
		if key == "timeout" && s.peek() != '"' {
			return in.oipTimeout(s, deadline)
		}
		if in.consensus && key != probabilitiesOption && slices.Contains(consensusOptions, key) {
			_, err := in.jsonOption(s, key)
			return err
		}
		_, err := s.skip(2)
		return err
	})
}

// oipTimeout: as a number it is Triton's, in microseconds, and no more than a wish there.
// As a text it is ours, such as "800ms".
func (in *input) oipTimeout(s *scanner, deadline time.Duration) error {
	us, err := s.number()
	if err != nil || us < 0 {
		return NewProblem(BadInput, `parameters: timeout is neither a number of microseconds nor a text such as "800ms"`)
	}
	if us > 0 && in.consensus {
		us = min(us, float64(deadline.Microseconds()))
		in.q.Timeout = max(time.Duration(us)*time.Microsecond, minTimeout)
	}
	return nil
}

func (req *oipRequest) readOutputs(s *scanner) error {
	if s.literal("null") {
		return nil
	}
	if s.peek() != '[' {
		return NewProblem(BadInput, `outputs must be a list: "outputs":[{"name":"predict"}]`)
	}
	_, err := s.list(2, func(i int) error {
		where := fmt.Sprintf("outputs[%d]", i)
		var o oipOutput
		err := oipObject(s, where, 3, func(key string) error {
			var err error
			switch key {
			case "name":
				o.name, err = oipText(s, where+".name")
			case "parameters":
				o.top, err = oipTop(s, where+".parameters")
			default:
				_, err = s.skip(3)
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case o.name == "":
			return Problemf(BadInput, "%s has no name; write {\"name\":\"predict\"}", where)
		case slices.ContainsFunc(req.outputs, func(other oipOutput) bool { return other.name == o.name }):
			return Problemf(BadInput, "%s is %q again; ask for each output once", where, shown(o.name))
		case i >= 8:
			return NewProblem(BadInput, "outputs has more names than there are outputs")
		}
		req.outputs = append(req.outputs, o)
		return nil
	})
	return err
}

// oipTop reads the parameters of an output. Of them classification alone has a meaning;
// binary_data is a wish, and the answer is in JSON as if it were false.
func oipTop(s *scanner, where string) (top int, err error) {
	err = oipObject(s, where, 4, func(key string) error {
		if key != "classification" {
			_, err := s.skip(4)
			return err
		}
		x, err := s.number()
		if err != nil || x < 1 || x != math.Trunc(x) {
			return Problemf(BadInput, "%s.classification is not a whole number from 1 upwards; it says how many classes to name", where)
		}
		top = int(min(x, maxOIPValues))
		return nil
	})
	return top, err
}

func (in *input) oipInputs(s *scanner, req *oipRequest) error {
	if req.given {
		return NewProblem(BadInput, "inputs is given twice; give it once")
	}
	req.given = true
	if s.peek() != '[' {
		return NewProblem(BadInput, "inputs must be a list of tensors; send "+oipExample)
	}
	in.q.Rows = in.q.Rows[:0]
	_, err := s.list(2, func(i int) error {
		if i >= max(len(in.s.features), 1) {
			return Problemf(BadInput, "inputs has more tensors than there are features; %s", in.s.wants())
		}
		t := oipTensor{from: len(in.q.Rows)}
		where := fmt.Sprintf("inputs[%d]", i)
		if err := oipObject(s, where, 3, func(key string) error { return in.oipField(s, &t, where, key) }); err != nil {
			return err
		}
		if err := in.oipCheck(&t, where); err != nil {
			return err
		}
		req.inputs = append(req.inputs, t)
		return nil
	})
	return err
}

// oipField reads one field of an input.
func (in *input) oipField(s *scanner, t *oipTensor, where, key string) error {
	where += "." + key
	switch key {
	case "name", "datatype", "shape", "data":
		if slices.Contains(t.seen, key) {
			return Problemf(BadInput, "%s is given twice; give it once", where)
		}
		t.seen = append(t.seen, key)
	}
	var err error
	switch key {
	case "name":
		t.name, err = oipText(s, where)
	case "datatype":
		t.datatype, err = oipText(s, where)
	case "shape":
		t.shape, err = oipShape(s, where)
	case "data":
		if s.peek() != '[' {
			return Problemf(BadInput, "%s must be a list of numbers, flat or nested as the shape is", where)
		}
		leaves := -1
		err = in.oipData(s, t, where, 0, &leaves)
		t.to = len(in.q.Rows)
	case "parameters":
		err = oipObject(s, where, 4, func(key string) error {
			if key == "binary_data_size" || strings.HasPrefix(key, "shared_memory") {
				return Problemf(UnsupportedMedia, "%s has %s, of an extension that this node does not have; send the numbers in data", where, shown(key))
			}
			_, err := s.skip(4) // content_type and other hints
			return err
		})
	default:
		_, err = s.skip(3)
	}
	return err
}

// oipData reads a list of numbers or of such lists. leaves is the depth at which the
// numbers are, -1 while it is not known.
func (in *input) oipData(s *scanner, t *oipTensor, where string, depth int, leaves *int) error {
	n, err := s.list(4+depth, func(int) error {
		switch c := s.peek(); {
		case c == '[':
			if *leaves >= 0 && *leaves <= depth {
				return Problemf(BadInput, "%s has numbers and lists side by side; nest it as the shape is, or write it flat", where)
			}
			return in.oipData(s, t, where, depth+1, leaves)
		case *leaves >= 0 && *leaves != depth:
			return Problemf(BadInput, "%s has numbers and lists side by side; nest it as the shape is, or write it flat", where)
		}
		*leaves = depth
		return in.oipNumber(s, t, where)
	})
	if err != nil {
		return err
	}
	// The innermost list is closed first, so there must be places for those around it.
	for len(t.dims) <= depth {
		t.dims = append(t.dims, -1)
	}
	if t.dims[depth] >= 0 && t.dims[depth] != n {
		return Problemf(BadInput, "%s has lists of %d and of %d elements side by side; all must be as long as the shape says", where, t.dims[depth], n)
	}
	t.dims[depth] = n
	return nil
}

func (in *input) oipNumber(s *scanner, t *oipTensor, where string) error {
	var x float64
	switch {
	case s.literal("true"):
		x, t.bools = 1, true
	case s.literal("false"):
		t.bools = true
	case s.peek() == '"':
		return Problemf(BadInput, "%s[%d] is a text, as BYTES has; this model takes numbers, so write them without quotes and send FP64, FP32 or whole numbers", where, len(in.q.Rows)-t.from)
	default:
		var err error
		if x, err = s.number(); err != nil {
			return in.badNumber(s, fmt.Sprintf("%s[%d]", where, len(in.q.Rows)-t.from), err)
		}
	}
	if len(in.q.Rows) >= in.s.rows*max(len(in.s.features), 1) {
		return Problemf(TooLarge, "the inputs have more than %d rows; send fewer rows at once", in.s.rows)
	}
	in.q.Rows = append(in.q.Rows, x)
	return nil
}

func oipShape(s *scanner, where string) ([]int, error) {
	if s.peek() != '[' {
		return nil, Problemf(BadInput, "%s must be a list of whole numbers, such as [1,4]", where)
	}
	var shape []int
	_, err := s.list(4, func(i int) error {
		x, err := s.number()
		if err != nil || x < 0 || x != math.Trunc(x) {
			return Problemf(BadInput, "%s[%d] is not a whole number from 0 upwards; write the size itself, such as [1,4]", where, i)
		}
		if i >= 8 {
			return Problemf(BadInput, "%s has more than 8 dimensions; this model takes rows of numbers, [rows,features]", where)
		}
		shape = append(shape, int(min(x, maxOIPValues)))
		return nil
	})
	return shape, err
}

// oipText reads a text that names something.
func oipText(s *scanner, where string) (string, error) {
	if s.peek() != '"' {
		return "", Problemf(BadInput, "%s is not a text in double quotes", where)
	}
	return s.str()
}

// oipObject reads an object; null is as good as none.
func oipObject(s *scanner, where string, depth int, each func(key string) error) error {
	if s.literal("null") {
		return nil
	}
	if s.peek() != '{' {
		return Problemf(BadInput, "%s is not a JSON object", where)
	}
	return s.object(depth, each)
}
