package reach

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Trouble is what a tunnel or its provider says in place of the node behind it.
type Trouble struct {
	Kind TroubleKind
	Code string // the provider's code, "ERR_NGROK_3200" or "1033"; "" when the page has none
	Say  string // one sentence for a person, with the remedy
}

func (t Trouble) Error() string { return t.Say }

// TroubleKind says what a Trouble means for whoever called.
type TroubleKind uint8

// The kinds of trouble.
const (
	TunnelOffline  TroubleKind = iota + 1 // the URL leads nowhere; it may be an old one
	AppDown                               // the tunnel stands, the node behind it does not answer
	OverRate                              // too many calls for now; later it works again
	OverQuota                             // the plan's month is used up
	BrowserWarning                        // a page for people came, which a header or a click gets past
	OtherPage                             // a page of a kind we do not know
)

// MaxPage is how much of an answer is worth keeping for ExplainPage.
const MaxPage = 16 << 10

// SkipWarning is the header that gets past ngrok's and localtunnel's pages for browsers.
func SkipWarning(h http.Header) {
	h.Set("Ngrok-Skip-Browser-Warning", "1")
	h.Set("Bypass-Tunnel-Reminder", "1")
}

// troubles are the codes that a team meets, by provider. Sources are in the package comment.
var troubles = map[string]Trouble{
	"ERR_NGROK_3200": {Kind: TunnelOffline, Say: "the ngrok tunnel is offline; its owner must start ngrok again, and the URL may be another one then"},
	"ERR_NGROK_8012": {Kind: AppDown, Say: "the ngrok tunnel stands but nothing listens behind it; its owner must start it on the port that ngrok forwards to"},
	"ERR_NGROK_3004": {Kind: AppDown, Say: "what listens behind the ngrok tunnel does not speak HTTP; its owner must check which port ngrok forwards to"},
	"ERR_NGROK_724":  {Kind: AppDown, Say: "the ngrok endpoint has nothing behind it now; its owner must start ngrok again"},
	"ERR_NGROK_734":  {Kind: OverRate, Say: "the ngrok tunnel has more requests a minute than its plan allows; wait a minute"},
	"ERR_NGROK_725":  {Kind: OverQuota, Say: "the ngrok account has used up this month's traffic; its owner needs another plan or tunnel"},
	"ERR_NGROK_727":  {Kind: OverQuota, Say: "the ngrok account has used up this month's requests; its owner needs another plan or tunnel"},
	"ERR_NGROK_6024": {Kind: BrowserWarning, Say: "ngrok shows its warning page for browsers instead of the node; use another kind of tunnel, or a plan without that page"},

	"1033": {Kind: TunnelOffline, Say: "the Cloudflare tunnel is offline; its owner must start cloudflared again, and the URL may be another one then"},
	"1016": {Kind: TunnelOffline, Say: "Cloudflare does not know this tunnel any more; its owner must start cloudflared again and pass on the new URL"},
	"1015": {Kind: OverRate, Say: "Cloudflare limits how often this URL may be called; wait a minute"},
}

// cloudflareCode is how Cloudflare names its errors: "error code: 1033" as text, "Error
// 1033" or a span of class cf-error-code on its pages, and a number in JSON.
var cloudflareCode = regexp.MustCompile(`(?i)(?:error[ _]?(?:code)?"?:?\s*|cf-error-code">\s*)(1[0-9]{3})\b`)

// ngrokLine is a code of ngrok that stands alone on its line.
var ngrokLine = regexp.MustCompile(`(?m)^(ERR_NGROK_[0-9]{1,6})\r?$`)

// ExplainPage reads an answer that was to come from a node and reports whether it is a
// tunnel's own, and what that means. body may be cut to MaxPage. What a node itself says,
// also of tunnels, is none: only a header, a page, plain text, or Cloudflare's own statuses count.
func ExplainPage(status int, h http.Header, body []byte) (Trouble, bool) {
	body = body[:min(len(body), MaxPage)]
	html := looksLikeHTML(body)
	if code := ngrokCodeOf(h.Get("Ngrok-Error-Code")); code != "" {
		return ngrokTrouble(code), true
	}
	if html {
		if code := ngrokCodeOf(string(body)); code != "" {
			return ngrokTrouble(code), true
		}
	}
	// ngrok tells programs its errors as text, with the code on a line of its own. A node's errors are JSON.
	if status >= 400 && strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		if m := ngrokLine.FindSubmatch(body); m != nil {
			return ngrokTrouble(string(m[1])), true
		}
	}
	if t, ok := cloudflareTrouble(status, h, body, html); ok {
		return t, true
	}
	if !html {
		return Trouble{}, false
	}
	return pageTrouble(status, body), true
}

func ngrokTrouble(code string) Trouble {
	t, ok := troubles[code]
	if !ok {
		return Trouble{Kind: OtherPage, Code: code, Say: "ngrok reports " + code + " instead of the node; see https://ngrok.com/docs/errors"}
	}
	return t.named(code)
}

func (t Trouble) named(code string) Trouble {
	t.Code = code
	t.Say = fmt.Sprintf("%s (%s)", t.Say, code)
	return t
}

func cloudflareTrouble(status int, h http.Header, body []byte, html bool) (Trouble, bool) {
	theirs := h.Get("Server") == "cloudflare" || h.Get("Cf-Ray") != ""
	if !theirs || status < 400 {
		return Trouble{}, false
	}
	if m := cloudflareCode.FindSubmatch(body); m != nil && (status == 530 || html || status == http.StatusTooManyRequests) {
		code := string(m[1])
		if t, ok := troubles[code]; ok {
			return t.named(code), true
		}
		return Trouble{Kind: OtherPage, Code: code, Say: "Cloudflare reports error " + code + " instead of the node; see its documentation of 1xxx errors"}, true
	}
	// A node's own answers are JSON; its 502 would say so.
	switch text := html || bytes.HasPrefix(body, []byte("error code: ")); {
	case status == 530:
		return Trouble{Kind: TunnelOffline, Code: "530", Say: "the Cloudflare tunnel is offline; its owner must start cloudflared again, and the URL may be another one then (530)"}, true
	case text && (status == http.StatusBadGateway || status >= 520 && status <= 524):
		code := strconv.Itoa(status)
		return Trouble{Kind: AppDown, Code: code, Say: "the Cloudflare tunnel stands but the node behind it does not answer; its owner must start it on the port that cloudflared forwards to (" + code + ")"}, true
	}
	return Trouble{}, false
}

// pageTrouble is for pages without a code that we know.
func pageTrouble(status int, body []byte) Trouble {
	lower := bytes.ToLower(body)
	has := func(s string) bool { return bytes.Contains(lower, []byte(s)) }
	switch {
	case has("localtunnel") || has("loca.lt"):
		return Trouble{Kind: BrowserWarning, Say: "localtunnel shows its reminder page for browsers instead of the node; use another kind of tunnel"}
	case has("ngrok") && status < 400:
		return Trouble{Kind: BrowserWarning, Say: "ngrok shows its warning page for browsers instead of the node; use another kind of tunnel, or a plan without that page"}
	}
	return Trouble{Kind: OtherPage, Say: fmt.Sprintf("a web page came (status %d) instead of the node; is this the URL of a node, and is the node running?", status)}
}

// looksLikeHTML reports whether body is a page: the first thing in it is a tag.
func looksLikeHTML(body []byte) bool {
	b := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(b) > 0 && b[0] == '<'
}
