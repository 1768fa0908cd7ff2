package ml

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"sync"
)

//go:embed data/iris.csv
var irisCSV []byte

// readIris parses once. A damaged embedded file would be a broken build, which the
// tests of this package catch; nothing that a user does can make it fail.
var readIris = sync.OnceValue(func() *Dataset {
	d, err := ReadCSV(bytes.NewReader(irisCSV), CSVOptions{Name: "iris"})
	if err != nil {
		panic(fmt.Sprintf("ml: the embedded iris.csv: %v", err))
	}
	return d
})

var irisDigest = sync.OnceValue(func() [32]byte { return readIris().Task.Digest() })

// Iris returns the embedded Iris data set (Fisher 1936): 150 rows, 4 features in cm,
// 3 labels. Each call returns a copy.
func Iris() *Dataset {
	d := readIris()
	return &Dataset{
		Task: Task{Name: d.Task.Name, Features: slices.Clone(d.Task.Features), Labels: slices.Clone(d.Task.Labels)},
		X:    slices.Clone(d.X),
		Y:    slices.Clone(d.Y),
	}
}
