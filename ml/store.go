package ml

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The frame of a model file; docs/model-file.md describes it byte by byte.
//
//	magic    8 bytes  89 "CAUCUS" 0A
//	version  uint32   1
//	length   uint64   of the body
//	body
//	SHA-256  32 bytes of all the above
//
// The first byte is no text in any encoding, and the last of the magic is what a
// transfer that mends line ends would change.
const (
	modelMagic   = "\x89CAUCUS\n"
	modelVersion = 1
	modelHead    = len(modelMagic) + 4 + 8
	maxProgram   = 128 // bytes of Meta.Program
)

// maxModelBytes bounds the body. It has a type because an int of 32 bits cannot hold it.
const maxModelBytes int64 = 2 << 30

// Meta goes with a stored model: what is not needed to predict, but to present it.
type Meta struct {
	Program    string      // the version of the program that stored it
	Ranges     []Range     // of each feature in the data, or nil
	Evaluation *Evaluation // or nil
}

// Save writes a model that Fit or Load made. The same model and meta give the same bytes.
// It reads back what it is about to write, so that no file is made that Load refuses.
func Save(w io.Writer, m Model, meta Meta) error {
	own, ok := m.(storable)
	if !ok {
		return fmt.Errorf("ml: a model of kind %q cannot be stored; only those that are fitted here can", m.Kind())
	}
	e := &encoder{}
	e.b = append(e.b, modelMagic...)
	e.u32(modelVersion)
	e.u64(0) // the length, once it is known
	if err := e.body(own, meta); err != nil {
		return err
	}
	body := e.b[modelHead:]
	if int64(len(body)) > maxModelBytes {
		return fmt.Errorf("ml: the model takes %d MiB, and a file holds %d; fit it on fewer rows, or with fewer trees", len(body)>>20, maxModelBytes>>20)
	}
	binary.LittleEndian.PutUint64(e.b[modelHead-8:], uint64(len(body)))
	back, _, err := decodeBody(body)
	if err != nil {
		return fmt.Errorf("ml: this model cannot be stored: %w", err)
	}
	if back.Fingerprint() != m.Fingerprint() {
		return errors.New("ml: this model cannot be stored: it would come back as another; please report it")
	}
	sum := sha256.Sum256(e.b)
	e.b = append(e.b, sum[:]...)
	if _, err := w.Write(e.b); err != nil {
		return fmt.Errorf("ml: cannot write the model: %w", pathless(err))
	}
	return nil
}

// Load reads a model that Save wrote: it predicts bit by bit what the stored one did, and
// has its fingerprint. Everything is checked before anything is believed: a file that is
// damaged, cut off, foreign, newer, or made to do harm is refused with ErrModelFile. Memory
// is taken only in proportion to what r really holds. r must end where the model does.
func Load(r io.Reader) (Model, Meta, error) {
	head := make([]byte, modelHead)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, Meta{}, fmt.Errorf("ml: cannot read the model: %w", err)
	}
	length, err := readHead(head[:n])
	if err != nil {
		return nil, Meta{}, err
	}
	want := length + sha256.Size
	rest, err := io.ReadAll(io.LimitReader(r, want+1))
	if err != nil {
		return nil, Meta{}, fmt.Errorf("ml: cannot read the model: %w", err)
	}
	switch got := int64(len(rest)); {
	case got < want:
		return nil, Meta{}, modelFileError("it is cut off: %d of %d bytes are there; copy it again", int64(modelHead)+got, int64(modelHead)+want)
	case got > want:
		return nil, Meta{}, modelFileError("more follows where it should end, at byte %d; copy it again", int64(modelHead)+want)
	}
	body := rest[:length]
	h := sha256.New()
	h.Write(head)
	h.Write(body)
	if !bytes.Equal(h.Sum(nil), rest[length:]) {
		return nil, Meta{}, modelFileError("it is damaged: its checksum does not match what it holds; copy it again, or train it anew")
	}
	return decodeBody(body)
}

// readHead checks magic and version and returns the length of the body.
func readHead(head []byte) (int64, error) {
	if len(head) < len(modelMagic) && len(head) > 0 && strings.HasPrefix(modelMagic, string(head)) {
		return 0, modelFileError("it is cut off: only %s are there; copy it again", count(len(head), "byte"))
	}
	if !bytes.HasPrefix(head, []byte(modelMagic)) {
		return 0, modelFileError("%s", foreign(head))
	}
	if len(head) < modelHead {
		return 0, modelFileError("it is cut off: only %s are there; copy it again", count(len(head), "byte"))
	}
	version := binary.LittleEndian.Uint32(head[len(modelMagic):])
	length := binary.LittleEndian.Uint64(head[len(modelMagic)+4:])
	switch {
	case version == 0:
		return 0, modelFileError("it says that its format is version 0, which there never was; copy it again")
	case version > modelVersion:
		return 0, modelFileError("its format is version %d, and this program reads up to %d; update this program, or train the model with it",
			version, modelVersion)
	case length > uint64(maxModelBytes):
		return 0, modelFileError("it says that it holds %d bytes, and at most %d are read; copy it again", length, maxModelBytes)
	}
	return int64(length), nil
}

// foreign says what a file seems to be that is no model of ours.
func foreign(head []byte) string {
	const no = "it is not a model that caucus train saved"
	starts := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	switch {
	case len(head) == 0:
		return "it is empty; copy it again, or train the model anew"
	case starts("\x1f\x8b"):
		return no + " but a gzip file; unpack it first if one is inside"
	case starts("PK\x03\x04"):
		return no + " but a zip archive, as some Python tools write; a model of another program takes part behind --upstream URL"
	case head[0] == 0x80 && len(head) > 1 && head[1] <= 5:
		return no + " but a Python pickle; the app that serves it takes part behind --upstream URL"
	case utf8.Valid(head[:max(len(head)-utf8.UTFMax+1, 1)]) && !bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && !unicode.IsSpace(r) }):
		return fmt.Sprintf("%s but text that begins with %q; if it is rows to learn from, give it with --data", no, head)
	}
	return fmt.Sprintf("%s: it begins with the bytes % x", no, head[:min(len(head), 8)])
}

func modelFileError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrModelFile, fmt.Sprintf(format, args...))
}

// storable is a model that has a place in the format.
type storable interface {
	Model
	encode(e *encoder)
}

var _ = []storable{(*knnModel)(nil), (*forestModel)(nil), (*svmModel)(nil), (*treeModel)(nil)}

// body writes what stands before every kind's own part, and that part.
func (e *encoder) body(m storable, meta Meta) error {
	t := m.Task()
	e.text(string(m.Kind()))
	e.text(meta.Program)
	e.text(t.Name)
	e.texts(t.Features)
	e.texts(t.Labels)
	e.flag(meta.Ranges != nil)
	if meta.Ranges != nil && len(meta.Ranges) != len(t.Features) {
		return fmt.Errorf("ml: %d ranges for %d features; a model is stored with one each, or none", len(meta.Ranges), len(t.Features))
	}
	for _, r := range meta.Ranges {
		e.floats([]float64{r.Min, r.Typical, r.Max})
	}
	e.flag(meta.Evaluation != nil)
	if meta.Evaluation != nil {
		if err := e.evaluation(t, meta.Evaluation); err != nil {
			return err
		}
	}
	m.encode(e)
	return nil
}

// evaluation writes the counts; the shares follow from them.
func (e *encoder) evaluation(t Task, ev *Evaluation) error {
	e.u32(uint32(ev.Folds))
	if len(ev.Confusion) != len(t.Labels) {
		return fmt.Errorf("ml: the evaluation has %s, the task %d; store the model with its own", count(len(ev.Confusion), "label"), len(t.Labels))
	}
	for _, row := range ev.Confusion {
		if len(row) != len(t.Labels) {
			return fmt.Errorf("ml: the evaluation has %s, the task %d; store the model with its own", count(len(row), "label"), len(t.Labels))
		}
		for _, n := range row {
			e.u32(uint32(n))
		}
	}
	return nil
}

// decodeBody reads a body and wants nothing to be left over.
func decodeBody(body []byte) (Model, Meta, error) {
	d := &decoder{b: body}
	kind := Kind(d.text("the kind of model", maxName))
	meta := Meta{Program: d.text("the program's version", maxProgram)}
	task := d.task()
	if d.flag("whether ranges follow") {
		meta.Ranges = d.ranges(&task)
	}
	if d.flag("whether an evaluation follows") {
		meta.Evaluation = d.evaluation(task)
	}
	if d.err != nil {
		return nil, Meta{}, d.err
	}
	var m Model
	switch kind {
	case KNN:
		m = d.knn(task)
	case Forest:
		m = d.forest(task)
	case SVM:
		m = d.svm(task)
	case Tree:
		m = d.tree(task)
	default:
		return nil, Meta{}, modelFileError("it holds a model of kind %q, which this program does not know; update this program, or train one of knn, randforest, svm, tree", kind)
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%s follow its last part", count(len(d.b), "byte"))
	}
	if d.err != nil {
		return nil, Meta{}, d.err
	}
	return m, meta, nil
}
