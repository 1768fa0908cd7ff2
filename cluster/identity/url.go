package identity

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURL is the most bytes that a card's URL may have. With the other fields at
// their limits the card then still fits MaxCard.
const MaxURL = 240

const relayPath = "/via/"

// ParseURL reads the base URL of a node and returns its one normal form: scheme
// http or https, a host (lower case), perhaps a port, and no path but that of a
// relay, /via/{id}. No user, query or fragment. Errors wrap ErrURL.
func ParseURL(s string) (string, error) {
	if len(s) > MaxURL {
		return "", fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrURL, len(s), MaxURL)
	}
	bad := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("%w: %s %s", ErrURL, quote(s), fmt.Sprintf(format, args...))
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }); i >= 0 {
		return bad("has a character that is not plain ASCII, at byte %d; write an international name in its xn-- form", i)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return bad("is not a URL; write http://host:port or https://host")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("has the scheme %q; a node's URL begins with http:// or https://", u.Scheme)
	case u.Opaque != "" || u.Host == "":
		return bad("has no host; write %s://host", u.Scheme)
	case u.User != nil:
		return bad("has a user name in it; take out all up to the @")
	case u.RawQuery != "" || u.ForceQuery:
		return bad("has a query; take out all from the ? on")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return bad("has a fragment; take out all from the # on")
	}
	host, err := normalHost(u)
	if err != nil {
		return bad("%v", err)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if path != "" {
		id, ok := strings.CutPrefix(path, relayPath)
		if _, err := ParseID(id); !ok || err != nil {
			return bad("has a path; take out all after the host (only a relay's /via/{id} may follow it)")
		}
	}
	return u.Scheme + "://" + host + path, nil
}

// normalHost returns the host and port of u in lower case, or says in words
// that follow the URL what is wrong with them.
func normalHost(u *url.URL) (string, error) {
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return "", fmt.Errorf("has no port after the colon")
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", fmt.Errorf("has the port %q; a port is a number from 1 to 65535", port)
		}
		port = ":" + port
	}
	if strings.Contains(name, ":") {
		a, err := netip.ParseAddr(name)
		if err != nil || a.Zone() != "" {
			return "", fmt.Errorf("has a host that is no IPv6 address without a zone")
		}
		return "[" + a.String() + "]" + port, nil
	}
	if name == "" || len(name) > 253 {
		return "", fmt.Errorf("has a host of %d characters; a host has 1 to 253", len(name))
	}
	for i := range len(name) {
		if c := name[i]; !lowerAlnum(c) && c != '-' && c != '.' && c != '_' {
			return "", fmt.Errorf("has %q in its host; a host has letters, digits, dots, - and _", c)
		}
	}
	return name + port, nil
}

// validURL says what is wrong with a URL that must be in normal form already.
func validURL(s string) error {
	normal, err := ParseURL(s)
	if err != nil {
		return err
	}
	if normal != s {
		return fmt.Errorf("%w: %s is not in normal form, which is %s", ErrURL, quote(s), quote(normal))
	}
	return nil
}

func lowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// quote shows bad input in an error: escaped, cut to 120 bytes, and without
// anything that may be a token (all from # on, and any run of 43 or more
// characters that a token could consist of) or a password (all before @).
func quote(s string) string {
	s, _, _ = strings.Cut(s, "#")
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = "…" + s[i:]
	}
	var out strings.Builder
	run := 0 // start of the current run
	flush := func(end int) {
		if end-run >= tokenLength {
			out.WriteString("…")
			return
		}
		out.WriteString(s[run:end])
	}
	for i := range len(s) {
		if c := s[i]; lowerAlnum(c) || c >= 'A' && c <= 'Z' || c == '-' || c == '_' {
			continue
		}
		flush(i)
		out.WriteByte(s[i])
		run = i + 1
	}
	flush(len(s))
	s = out.String()
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:120], "") + "…"
	}
	return strconv.Quote(s)
}
