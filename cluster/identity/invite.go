package identity

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
)

// Invite is what lets a newcomer in: an address and, unless the cluster is open, a token.
//
// Like a Token, it shows its token only when String is called by name.
type Invite struct {
	// Address is an origin URL ("http://10.0.0.5:5001", "https://ab12.ngrok-free.app"),
	// possibly with the path of a relay ("/via/{id}"), or "dns+host:port".
	// host:port is read as http://host:port.
	Address string
	Token   *Token // nil when the invite has none
}

const dnsPrefix = "dns+"

// ParseInvite reads host:port, a URL or dns+host:port, each with #TOKEN after it
// or without. Errors wrap ErrInvite, ErrURL or ErrToken; they quote the address
// and never the token.
func ParseInvite(s string) (Invite, error) {
	s = strings.TrimSpace(s)
	address, text, hasToken := strings.Cut(s, "#")
	var inv Invite
	if hasToken {
		if text == "" {
			return Invite{}, fmt.Errorf("%w: nothing follows the # in the invite to %s; copy the whole line, and put it in quotes", ErrToken, quote(address))
		}
		t, err := ParseToken(text)
		if err != nil {
			return Invite{}, fmt.Errorf("in the invite to %s, after the #: %w", quote(address), err)
		}
		inv.Token = &t
	}
	var err error
	inv.Address, err = parseAddress(address)
	if err != nil {
		return Invite{}, err
	}
	return inv, nil
}

func parseAddress(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("%w: it has no address; write host:port, or a URL such as https://ab12.ngrok-free.app", ErrInvite)
	}
	if rest, ok := strings.CutPrefix(s, dnsPrefix); ok {
		if strings.Contains(rest, "/") {
			return "", fmt.Errorf("%w: %s mixes dns+ with a URL; write dns+host:port", ErrInvite, quote(s))
		}
		hostport, err := parseHostPort(rest, dnsPrefix)
		return dnsPrefix + hostport, err
	}
	if strings.Contains(s, "://") {
		return ParseURL(s)
	}
	hostport, err := parseHostPort(s, "")
	if err != nil {
		return "", err
	}
	return "http://" + hostport, nil
}

// parseHostPort checks host:port and returns it in normal form; prefix goes
// before the examples in its errors.
func parseHostPort(s, prefix string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		switch {
		case strings.ContainsAny(s, "/?@"):
			return "", fmt.Errorf("%w: %s is neither host:port nor a URL; a URL begins with http:// or https://", ErrInvite, quote(s))
		case strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "["):
			return "", fmt.Errorf("%w: %s looks like an IPv6 address without a port; write %s[%s]:5001", ErrInvite, quote(s), prefix, unquoted(s))
		case strings.HasPrefix(s, "["):
			return "", fmt.Errorf("%w: %s has no port; write an IPv6 address and its port as %s[::1]:5001", ErrInvite, quote(s), prefix)
		case prefix == "":
			return "", fmt.Errorf("%w: %s has no port; write %s:5001, or a URL such as https://%s", ErrInvite, quote(s), unquoted(s), unquoted(s))
		}
		return "", fmt.Errorf("%w: %s has no port; write %s%s:5001", ErrInvite, quote(s), prefix, unquoted(s))
	}
	if host == "" {
		return "", fmt.Errorf("%w: %s has no host; write %s127.0.0.1:%s for this machine", ErrInvite, quote(s), prefix, unquoted(port))
	}
	normal, err := ParseURL("http://" + s)
	if err != nil {
		return "", err
	}
	hostport := strings.TrimPrefix(normal, "http://")
	if strings.Contains(hostport, "/") {
		return "", fmt.Errorf("%w: %s has a path but no scheme; write http:// or https:// before it", ErrInvite, quote(s))
	}
	return hostport, nil
}

// unquoted is quote without the marks, for examples built from the input.
func unquoted(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

// String returns the invite as a person pastes it, with the token. Never log it.
func (i Invite) String() string {
	if i.Token == nil {
		return i.Address
	}
	return i.Address + "#" + i.Token.String()
}

func (i Invite) redacted() string {
	if i.Token == nil {
		return i.Address
	}
	return i.Address + "#" + redacted
}

// Format prints the invite with "[token]" for its token, whatever the verb.
func (i Invite) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, i.redacted()) }

// LogValue is what slog shows of an invite: the address, and "[token]" for its token.
func (i Invite) LogValue() slog.Value { return slog.StringValue(i.redacted()) }
