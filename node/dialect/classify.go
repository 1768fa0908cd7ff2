package dialect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"caucus/internal/neterror"
	"caucus/node/consensus"
)

// failed turns an error of the transport into the reply that names it.
func failed(err error) Reply {
	// *url.Error repeats the whole URL, features included; what is inside says enough.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	o, why := transportOutcome(err)
	return Reply{Outcome: o, Reason: why}
}

func transportOutcome(err error) (consensus.Outcome, string) {
	var (
		dns  *net.DNSError
		op   *net.OpError
		nerr net.Error
	)
	switch {
	case errors.Is(err, ErrBlocked):
		return consensus.BlockedAddress, blockedReason(err)
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return consensus.ConnectError, fmt.Sprintf("there is no host called %s; check the spelling", show(dns.Name))
		}
		return consensus.ConnectError, fmt.Sprintf("the name %s could not be looked up; are you online?", show(dns.Name))
	case errors.Is(err, context.Canceled):
		return consensus.Pending, "interrupted before an answer came"
	case neterror.Is(err, syscall.ECONNREFUSED):
		return consensus.ConnectError, "nothing listens there (connection refused); is the server running, and is this its port?"
	case errors.As(err, &op) && op.Op == "dial":
		if op.Timeout() {
			return consensus.ConnectError, "no connection could be made in time; is the server running, and is this its address?"
		}
		return consensus.ConnectError, "no connection could be made: " + show(op.Err.Error())
	}
	if why, ok := tlsReason(err); ok {
		return consensus.TLSError, why
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &nerr) && nerr.Timeout() {
		return consensus.Timeout, "no answer in time; is the server busy or hanging?"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || neterror.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return consensus.ConnectError, "the connection was closed before the answer was whole"
	}
	if strings.Contains(err.Error(), "malformed HTTP") {
		return consensus.BadSchema, "what answers there does not speak HTTP; is this the right port, and http:// rather than https://?"
	}
	return consensus.ConnectError, show(err.Error())
}

func blockedReason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// tlsReason recognises the ways in which TLS fails.
func tlsReason(err error) (string, bool) {
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server does not speak TLS on that port; write http:// instead of https://", true
	case errors.As(err, &host):
		return "its certificate is for another name: " + show(host.Error()), true
	case errors.As(err, &unknown):
		return "its certificate is not signed by anybody whom this machine trusts", true
	case errors.As(err, &invalid):
		return "its certificate is not valid: " + show(invalid.Error()), true
	case errors.As(err, &verify):
		return "its certificate was refused: " + show(verify.Err.Error()), true
	case errors.As(err, &alert):
		return "the TLS handshake failed: " + show(alert.Error()), true
	}
	return "", false
}

// redirected says where a server sends us, and what to type instead: an address without the query,
// which is the question's.
func redirected(asked *url.URL, location string) string {
	if location == "" {
		return "it sends us elsewhere without saying where; redirects are not followed"
	}
	to, err := asked.Parse(location)
	if err != nil {
		return fmt.Sprintf("it sends us to %s, which is no URL; redirects are not followed", show(location))
	}
	plain := *to
	plain.User, plain.RawQuery, plain.ForceQuery, plain.Fragment, plain.RawFragment = nil, "", false, "", ""
	address := show(plain.String())
	switch {
	case sameBut(asked, location):
		return fmt.Sprintf("it answers at %s, which differs in the slash at the end; redirects are not followed: give that address instead", address)
	case sameOrigin(asked, to):
		return fmt.Sprintf("it sends us to %s on the same server; redirects are not followed: give that address instead, if it is the model's", address)
	case asked.Scheme == "http" && to.Scheme == "https" && asked.Hostname() == to.Hostname():
		return fmt.Sprintf("it sends us to %s, the same by https; redirects are not followed: write https:// instead of http://", address)
	}
	return fmt.Sprintf("it sends us to %s; redirects are not followed: if you trust that address, give it instead", address)
}

// sameBut reports whether a redirect leads to the same address but for a slash at its end.
func sameBut(asked *url.URL, location string) bool {
	to, err := asked.Parse(location)
	return err == nil && location != "" && sameOrigin(asked, to) && asked.Path != to.Path &&
		strings.TrimRight(asked.Path, "/") == strings.TrimRight(to.Path, "/")
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && portOf(a) == portOf(b)
}

// statusReason says what a status of 400 or more means, in the server's own words
// if it has any.
func statusReason(status int, body []byte) string {
	text := http.StatusText(status)
	if text == "" {
		text = "no standard status"
	}
	if said := complaint(body); said != "" {
		return fmt.Sprintf("status %d: %s", status, said)
	}
	return fmt.Sprintf("status %d (%s)", status, text)
}

// complaint finds a server's own words in a JSON error, or returns "".
func complaint(body []byte) string {
	var o map[string]any
	if json.Unmarshal(body, &o) != nil {
		return ""
	}
	for _, key := range []string{"error", "detail", "message", "title"} {
		if s, ok := o[key].(string); ok && strings.TrimSpace(s) != "" {
			return show(s)
		}
	}
	return ""
}

// show quotes what a stranger sent: on one line, without control characters that
// could repaint a terminal, and not for ever.
func show(s string) string {
	const most = 160
	s = strings.Join(strings.Fields(s), " ")
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, s)
	if utf8.RuneCountInString(clean) > most {
		clean = string([]rune(clean)[:most]) + "..."
	}
	return "“" + clean + "”"
}
