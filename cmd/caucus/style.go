package main

// style writes emphasis for a terminal, or nothing.
type style struct{ on bool }

// styleFor says whether to colour: on a terminal that can, unless NO_COLOR is set (https://no-color.org).
func styleFor(terminal bool, env func(string) (string, bool)) style {
	get := func(key string) string { s, _ := env(key); return s }
	if !terminal || get("NO_COLOR") != "" || get("TERM") == "dumb" {
		return style{}
	}
	return style{on: true}
}

func (s style) wrap(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(t string) string   { return s.wrap("1", t) }
func (s style) dim(t string) string    { return s.wrap("2", t) }
func (s style) red(t string) string    { return s.wrap("31", t) }
func (s style) green(t string) string  { return s.wrap("32", t) }
func (s style) yellow(t string) string { return s.wrap("33", t) }
func (s style) cyan(t string) string   { return s.wrap("36", t) }
