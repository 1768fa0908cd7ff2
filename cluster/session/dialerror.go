package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"caucus/internal/neterror"
)

// notCaucus says that something else lives at a URL.
func notCaucus(base, seen string) error {
	return fmt.Errorf("session: no caucus node answers at %s: %s; check the URL", base, seen)
}

// dialError says in a sentence what became of dialling base: what answered, or
// why nothing did.
func (m *Manager) dialError(ctx context.Context, base string, response *http.Response, err error) error {
	if response != nil {
		return m.responseError(base, response)
	}
	// The layers above say nothing that the sentences here do not.
	if request := (*url.Error)(nil); errors.As(err, &request) {
		err = request.Err
	}
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("session: %s did not answer in time: %w", base, ctx.Err())
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("session: there is no host of that name at %s; check the spelling: %w", base, err)
	case neterror.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("session: nothing listens at %s; is the node running, and is the port right?: %w", base, err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("session: %s does not speak https; try the URL with http://: %w", base, err)
	case errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid):
		return fmt.Errorf("session: the certificate of %s cannot be trusted: %w", base, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), neterror.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("session: %s hung up without an answer; is it a caucus node, and is the scheme right?: %w", base, err)
	}
	return fmt.Errorf("session: cannot reach %s: %w", base, err)
}

// responseError says what answered at base in place of a session. The library
// has read at most 1 KiB of the body.
func (m *Manager) responseError(base string, r *http.Response) error {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(r.Body, 1<<10)) // what there is of it is enough for a sentence
	}
	if r.Header.Get(protocolHeader) != "" {
		return &RefusedError{Reason: printable(bytes.TrimSpace(body))}
	}
	if m.cfg.Explain != nil {
		if words, ok := m.cfg.Explain(r.StatusCode, r.Header, body); ok {
			return &InsteadError{Base: base, Words: printable([]byte(words))}
		}
	}
	html := strings.HasPrefix(r.Header.Get("Content-Type"), "text/html")
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return notCaucus(base, fmt.Sprintf("it redirects (HTTP %d) to %q, and redirects are not followed", r.StatusCode, printable([]byte(r.Header.Get("Location")))))
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden, r.StatusCode == http.StatusProxyAuthRequired:
		return notCaucus(base, fmt.Sprintf("something in front of it asks for a login (HTTP %d)", r.StatusCode))
	case r.StatusCode == http.StatusNotFound:
		return notCaucus(base, "it has no /gossip (HTTP 404)")
	case r.StatusCode == http.StatusBadGateway, r.StatusCode == http.StatusServiceUnavailable, r.StatusCode == http.StatusGatewayTimeout:
		return fmt.Errorf("session: what stands before %s cannot reach the node behind it (HTTP %d); is the node running?", base, r.StatusCode)
	case html:
		return notCaucus(base, fmt.Sprintf("it answered with a web page (HTTP %d)", r.StatusCode))
	}
	return notCaucus(base, fmt.Sprintf("it answered HTTP %d in place of opening a session", r.StatusCode))
}
