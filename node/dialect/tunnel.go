package dialect

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"

	"caucus/node/consensus"
)

// ngrokCode is how ngrok names its errors, in a header and on its pages
// (https://ngrok.com/docs/errors).
var ngrokCode = regexp.MustCompile(`ERR_NGROK_[0-9]{1,6}`)

type trouble struct {
	outcome consensus.Outcome
	reason  string
}

// ngrokTroubles says in words what the codes mean that a student meets.
var ngrokTroubles = map[string]trouble{
	"ERR_NGROK_3200": {consensus.ConnectError, "its ngrok tunnel is offline; its owner must start ngrok again and tell you the new URL"},
	"ERR_NGROK_8012": {consensus.ConnectError, "its ngrok tunnel is up but the app behind it is not running; its owner must start the app on the port that ngrok forwards to"},
	"ERR_NGROK_3004": {consensus.ConnectError, "the app behind its ngrok tunnel does not answer in HTTP; its owner must check which port ngrok forwards to"},
	"ERR_NGROK_734":  {consensus.Shed, "its ngrok tunnel has more requests a minute than its plan allows; wait a minute"},
	"ERR_NGROK_727":  {consensus.Shed, "its ngrok account has used up this month's requests; its owner needs another plan or tunnel"},
	"ERR_NGROK_725":  {consensus.Shed, "its ngrok account has used up this month's traffic; its owner needs another plan or tunnel"},
	"ERR_NGROK_6024": {consensus.BadJSON, "its ngrok tunnel shows a warning page for browsers instead of the model's answer; open the URL once in a browser, or use a tunnel without that page"},
}

// tunnelTrouble reports whether the answer is a tunnel's own rather than the model's.
func tunnelTrouble(h http.Header, body []byte) (consensus.Outcome, string, bool) {
	code := ngrokCode.FindString(h.Get("Ngrok-Error-Code"))
	// A model may mention a code in its JSON; only a page is the tunnel's word.
	if code == "" && looksLikeHTML(body) {
		code = string(ngrokCode.Find(body))
	}
	if code == "" {
		return 0, "", false
	}
	if t, ok := ngrokTroubles[code]; ok {
		return t.outcome, fmt.Sprintf("%s (%s)", t.reason, code), true
	}
	return consensus.HTTPError, fmt.Sprintf("its ngrok tunnel reports %s; see https://ngrok.com/docs/errors", code), true
}

// looksLikeHTML reports whether body is a page: the first thing in it is a tag.
func looksLikeHTML(body []byte) bool {
	b := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(b) > 0 && b[0] == '<'
}

// htmlReason says which page came instead of an answer.
func htmlReason(body []byte) string {
	lower := bytes.ToLower(body)
	switch {
	case bytes.Contains(lower, []byte("ngrok")):
		return "a page of ngrok came instead of JSON; open the URL once in a browser to see what it wants"
	case bytes.Contains(lower, []byte("localtunnel")), bytes.Contains(lower, []byte("loca.lt")):
		return "localtunnel's reminder page came instead of JSON; open the URL in a browser and answer it, or use another tunnel"
	case bytes.Contains(lower, []byte("cloudflare")):
		return "a page of Cloudflare came instead of JSON; is the app behind the tunnel running?"
	}
	if title := between(body, lower, "<title>", "</title>"); title != "" {
		return fmt.Sprintf("an HTML page came instead of JSON, titled %s; is this the address of a model?", show(title))
	}
	return "an HTML page came instead of JSON; is this the address of a model?"
}

// between returns the part of body between two marks, found in its lower-case copy.
func between(body, lower []byte, from, to string) string {
	i := bytes.Index(lower, []byte(from))
	if i < 0 || len(lower) != len(body) { // lower-casing may change lengths outside ASCII
		return ""
	}
	i += len(from)
	j := bytes.Index(lower[i:], []byte(to))
	if j < 0 {
		return ""
	}
	return string(body[i : i+j])
}
