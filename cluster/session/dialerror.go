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
	"regexp"
	"strings"
	"syscall"
)

var ngrokCode = regexp.MustCompile(`ERR_NGROK_[0-9]{1,6}`)

// notCaucus says that something else lives at a URL.
func notCaucus(base, seen string) error {
	return fmt.Errorf("session: no caucus node answers at %s: %s; check the URL", base, seen)
}

// dialError says in a sentence what became of dialling base: what answered, or
// why nothing did.
func dialError(ctx context.Context, base string, response *http.Response, err error) error {
	if response != nil {
		return responseError(base, response)
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
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("session: nothing listens at %s; is the node running, and is the port right?: %w", base, err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("session: %s does not speak https; try the URL with http://: %w", base, err)
	case errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid):
		return fmt.Errorf("session: the certificate of %s cannot be trusted: %w", base, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("session: %s hung up without an answer; is it a caucus node, and is the scheme right?: %w", base, err)
	}
	return fmt.Errorf("session: cannot reach %s: %w", base, err)
}

// responseError says what answered at base in place of a session. The library
// has read at most 1 KiB of the body.
func responseError(base string, r *http.Response) error {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(r.Body, 1<<10)) // what there is of it is enough for a sentence
	}
	if r.Header.Get(protocolHeader) != "" {
		return &RefusedError{Reason: printable(bytes.TrimSpace(body))}
	}
	code := ngrokCode.FindString(r.Header.Get("Ngrok-Error-Code"))
	if code == "" {
		code = string(ngrokCode.Find(body))
	}
	if code != "" {
		return fmt.Errorf("session: the tunnel at %s %s (%s, HTTP %d)", base, ngrokMeaning(code), code, r.StatusCode)
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

// ngrokMeaning puts the commonest of ngrok's codes into words.
func ngrokMeaning(code string) string {
	switch code {
	case "ERR_NGROK_3200":
		return "is offline: the node or its tunnel has ended"
	case "ERR_NGROK_8012":
		return "is up but nothing answers behind it: is the node running on the tunnel's port?"
	case "ERR_NGROK_734":
		return "takes no more requests this minute: wait, and try again"
	}
	return "refused the request"
}
