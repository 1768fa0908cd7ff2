package dialect

import (
	"bytes"
	"fmt"
	"net/http"

	"caucus/cluster/reach"
	"caucus/node/consensus"
)

// tunnelTrouble reports whether the answer is a tunnel's own rather than the model's. The words
// are those for sessions, so that a person reads the same of the same tunnel everywhere.
func tunnelTrouble(status int, h http.Header, body []byte) (consensus.Outcome, string, bool) {
	t, ok := reach.ExplainPage(status, h, body)
	if !ok {
		return 0, "", false
	}
	switch t.Kind {
	case reach.TunnelOffline, reach.AppDown:
		return consensus.ConnectError, t.Say, true
	case reach.OverRate, reach.OverQuota:
		return consensus.Shed, t.Say, true
	case reach.BrowserWarning:
		return consensus.BadJSON, t.Say, true
	}
	if t.Code == "" {
		return 0, "", false // some page: htmlReason says more of it
	}
	return consensus.HTTPError, t.Say, true
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
