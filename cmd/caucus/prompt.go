package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// prompter asks questions on standard output, as Python's input() does, and reads the
// answers. Reading ignores contexts, so it happens in a goroutine of its own: Ctrl-C
// ends the waiting at once, and the goroutine with the process.
type prompter struct {
	app   *app
	out   io.Writer
	lines chan line
}

type line struct {
	text string
	err  error
}

// maxLine bounds an answer; nobody types more.
const maxLine = 64 << 10

// newPrompter asks on standard output, or on standard error where the output is JSON.
func (a *app) newPrompter(ctx context.Context, asJSON bool) *prompter {
	p := &prompter{app: a, out: a.out, lines: make(chan line)}
	if asJSON {
		p.out = a.err
	}
	go func() {
		s := bufio.NewScanner(a.in)
		s.Buffer(nil, maxLine)
		for first := true; s.Scan(); first = false {
			text := s.Text()
			if first {
				// Windows' editors put a byte order mark before what is then piped here.
				text = strings.TrimPrefix(text, "\ufeff")
			}
			select {
			case p.lines <- line{text: text}:
			case <-ctx.Done():
				return
			}
		}
		err := s.Err()
		switch {
		case err == nil:
			err = io.EOF
		case errors.Is(err, bufio.ErrTooLong):
			err = fmt.Errorf("a line has more than %d KiB; give one answer a line", maxLine>>10)
		}
		select {
		case p.lines <- line{err: err}:
		case <-ctx.Done():
		}
	}()
	return p
}

// ask prints the question and returns the answer without its line end.
func (p *prompter) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(p.out, question)
	select {
	case l := <-p.lines:
		// Who types ends the line; answers from a pipe leave the cursor behind the question.
		if !p.app.inTTY {
			fmt.Fprintln(p.out)
		}
		return l.text, l.err
	case <-ctx.Done():
		fmt.Fprintln(p.out)
		return "", ctx.Err()
	}
}
