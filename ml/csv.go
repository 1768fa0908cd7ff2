package ml

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CSVOptions says how to read a file.
type CSVOptions struct {
	Name  string // the task's name; empty: the file's name without extension
	Label string // the label column; empty: the last column
	Task  *Task  // when set, columns and labels must be of this task, in any order (for test data)
}

// OpenCSV reads a .csv or .csv.gz file. The error names the file.
func OpenCSV(path string, o CSVOptions) (*Dataset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ml: cannot open the data file: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%w: %s is a folder; name the file in it", ErrData, path)
	}
	if o.Name == "" {
		o.Name = strings.TrimSuffix(filepath.Base(path), ".gz")
		o.Name = strings.TrimSuffix(o.Name, filepath.Ext(o.Name))
	}
	var r io.Reader = f
	if strings.EqualFold(filepath.Ext(path), ".gz") {
		z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<16))
		if err != nil {
			return nil, fmt.Errorf("%w: %s is not a gzip file, whatever its name says: %w", ErrData, path, err)
		}
		defer z.Close()
		r = z
	}
	d, err := ReadCSV(r, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// ReadCSV reads a data set: a header line, then one row a line, commas between cells,
// cells in double quotes where they hold commas. A byte order mark, CRLF and blanks
// around cells are fine. Every complaint wraps ErrData and names line and column.
//
// Without a task, at least two labels with two rows each are wanted: fewer cannot be
// learnt from, nor held out. With a task (test data) one row is enough.
func ReadCSV(r io.Reader, o CSVOptions) (*Dataset, error) {
	if o.Name == "" {
		o.Name = "data"
		if o.Task != nil {
			o.Name = o.Task.Name
		}
	}
	in := bufio.NewReaderSize(r, 1<<16)
	if err := skipMark(in); err != nil {
		return nil, err
	}
	c := csv.NewReader(in)
	c.FieldsPerRecord = -1 // we say it better
	c.ReuseRecord = true
	c.TrimLeadingSpace = true // so that a quoted cell may follow a blank
	rec, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the file is empty; line 1 must name the columns", ErrData)
	}
	if err != nil {
		return nil, csvError(err, nil)
	}
	line, _ := c.FieldPos(0)
	h, err := readHeader(slices.Clone(rec), line, o)
	if err != nil {
		return nil, err
	}
	t := newTable(h)
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			return t.dataset(o)
		}
		if err != nil {
			return nil, csvError(err, h)
		}
		if err := t.add(rec, c); err != nil {
			return nil, err
		}
	}
}

// skipMark skips a UTF-8 byte order mark and refuses what is not text in UTF-8.
func skipMark(in *bufio.Reader) error {
	b, _ := in.Peek(3)
	switch {
	case len(b) == 3 && string(b) == "\xef\xbb\xbf":
		_, err := in.Discard(3)
		return err
	case len(b) >= 2 && (string(b[:2]) == "\xff\xfe" || string(b[:2]) == "\xfe\xff"):
		return fmt.Errorf("%w: the file is UTF-16; save it as CSV in UTF-8", ErrData)
	case len(b) >= 2 && string(b[:2]) == "\x1f\x8b":
		return fmt.Errorf("%w: the file is compressed; give it a name that ends in .csv.gz", ErrData)
	case len(b) >= 2 && string(b[:2]) == "PK":
		return fmt.Errorf("%w: the file is a spreadsheet or a zip archive; export it as CSV", ErrData)
	}
	return nil
}

// csvError turns what encoding/csv says, and what reading says, into our words.
func csvError(err error, h *header) error {
	var p *csv.ParseError
	if !errors.As(err, &p) {
		return fmt.Errorf("%w: reading: %w", ErrData, err)
	}
	why := "the line is not CSV"
	switch {
	case errors.Is(p.Err, csv.ErrBareQuote):
		why = `a " stands in a cell without quotes; put the cell in quotes and double the "`
	case errors.Is(p.Err, csv.ErrQuote):
		why = `a quoted cell does not end rightly; look for a missing or single "`
	}
	if p.StartLine != p.Line {
		return fmt.Errorf("%w: line %d (in a cell that begins on line %d): %s", ErrData, p.Line, p.StartLine, why)
	}
	return fmt.Errorf("%w: line %d, character %d: %s", ErrData, p.Line, p.Column, why)
}
