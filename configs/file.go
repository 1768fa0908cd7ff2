package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a configuration file: a mistyped --config must not read a data set.
const maxFile = 1 << 20

// readFile reads the settings of a YAML file, each with the line that it stands on.
func readFile(path, source string, options []Option) (map[string]value, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = errors.New("is a folder")
	}
	var text []byte
	if err == nil {
		text, err = readAtMost(path, maxFile)
	}
	if err != nil {
		return nil, &Error{Source: source, Err: fmt.Errorf("cannot read the configuration %q: %w", path, pathless(err))}
	}
	return parseFile(path, text, options)
}

// readAtMost reads a text file and refuses one that is larger. What stat says of a device or a
// pipe is no size, so it reads and sees.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("is larger than %d KiB", most>>10)
	}
	return plainText(text), err
}

// pathless drops the path that os repeats in its errors.
func pathless(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// parseFile walks the syntax tree rather than decoding into a struct, so that every
// complaint, also one that comes from a later check, can name its line.
func parseFile(path string, text []byte, options []Option) (map[string]value, error) {
	at := func(line int) string { return fmt.Sprintf("file %s:%d", path, line) }
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil {
			return nil, &Error{Source: at(ye.GetToken().Position.Line), Err: fmt.Errorf("this is not YAML: %s", ye.GetMessage())}
		}
		return nil, &Error{Source: "file " + path, Err: fmt.Errorf("this is not YAML: %w", err)}
	}
	found := map[string]value{}
	docs := 0
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if docs++; docs > 1 {
			return nil, &Error{Source: at(doc.Body.GetToken().Position.Line), Err: errors.New("a second document begins here, and only one is read; take the --- away")}
		}
		pairs, err := mapping(doc.Body)
		if err != nil {
			return nil, &Error{Source: at(doc.Body.GetToken().Position.Line), Err: err}
		}
		for _, p := range pairs {
			key, line := p.Key.GetToken().Value, p.Key.GetToken().Position.Line
			v, err := readPair(key, p.Value, options)
			if err != nil {
				return nil, &Error{Source: at(line), Err: err}
			}
			if earlier, twice := found[key]; twice {
				return nil, &Error{Source: at(line), Err: fmt.Errorf("%s stands here again, first in %s; take one away", key, earlier.source)}
			}
			if v.texts == nil {
				continue // "key:" with nothing after it leaves the default
			}
			v.source, v.base = at(line), filepath.Dir(path)
			found[key] = v
		}
	}
	return found, nil
}

// mapping returns the pairs of a document. The parser has a type of its own for one pair.
func mapping(n ast.Node) ([]*ast.MappingValueNode, error) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, nil
	}
	return nil, errors.New("settings are written as key: value, one a line")
}

// readPair reads one setting as text. What the text means is for the option to say.
func readPair(key string, n ast.Node, options []Option) (value, error) {
	var option *Option
	for i := range options {
		if options[i].Name == key {
			option = &options[i]
		}
	}
	switch {
	case key == "token":
		return value{}, errors.New("a token does not belong into a configuration; put it into CAUCUS_TOKEN, or into a file of its own named by token-file")
	case option == nil:
		return value{}, unknownKey(key, options)
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		if !option.List {
			return value{}, fmt.Errorf("%s takes one value, and here is a list", key)
		}
		v := value{texts: []string{}}
		for _, item := range list.Values {
			text, err := scalar(key, item)
			if err != nil {
				return value{}, err
			}
			v.texts = append(v.texts, option.split([]string{text})...)
		}
		return v, nil
	}
	if n == nil || n.Type() == ast.NullType {
		return value{}, nil
	}
	text, err := scalar(key, n)
	if err != nil {
		return value{}, err
	}
	return value{texts: option.split([]string{text})}, nil
}

// scalar returns the text of a plain value, as it was written.
func scalar(key string, n ast.Node) (string, error) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, nil
	case *ast.LiteralNode:
		return strings.TrimSpace(s.Value.Value), nil
	case *ast.BoolNode:
		return strconv.FormatBool(s.Value), nil
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, nil
	}
	return "", fmt.Errorf("%s takes a plain value, and here is %s", key, strings.ToLower(n.Type().String()))
}

func unknownKey(key string, options []Option) error {
	if near := nearest(key, options); near != "" {
		return fmt.Errorf("there is no setting %q; did you mean %q?", key, near)
	}
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.Name
	}
	return fmt.Errorf("there is no setting %q; the settings are %s", key, strings.Join(names, ", "))
}

// nearest returns the option whose name is at most two edits away, or "".
func nearest(key string, options []Option) string {
	key = strings.ToLower(strings.ReplaceAll(key, "_", "-"))
	best, name := 3, ""
	for _, o := range options {
		if d := distance(key, o.Name); d < best {
			best, name = d, o.Name
		}
	}
	return name
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
