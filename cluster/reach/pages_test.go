package reach

import (
	"net/http"
	"strings"
	"testing"
)

func TestExplainPageSaysWhatATunnelMeans(t *testing.T) {
	page := func(s string) string { return "<!DOCTYPE html>\n<html><body>" + s + "</body></html>" }
	ngrokHeader := func(code string) http.Header { return http.Header{"Ngrok-Error-Code": {code}} }
	cloudflare := http.Header{"Server": {"cloudflare"}, "Cf-Ray": {"99e3e433659710be-FRA"}}
	tests := []struct {
		name   string
		status int
		header http.Header
		body   string
		kind   TroubleKind // 0: it is the node's own answer
		code   string
		say    string
	}{
		{"ngrok offline", 404, ngrokHeader("ERR_NGROK_3200"), page("..."), TunnelOffline, "ERR_NGROK_3200", "offline"},
		{"ngrok offline, told on the page alone", 404, nil, page("The endpoint is offline. ERR_NGROK_3200"), TunnelOffline, "ERR_NGROK_3200", "offline"},
		{"ngrok offline, told in a link", 404, nil, page(`<a href="https://ngrok.com/docs/errors/err_ngrok_3200">`), TunnelOffline, "ERR_NGROK_3200", "offline"},
		{"ngrok offline, as text", 404, ngrokHeader("ERR_NGROK_3200"), "endpoint offline", TunnelOffline, "ERR_NGROK_3200", "offline"},
		{"ngrok offline, as text alone", 404, http.Header{"Content-Type": {"text/plain"}}, "The endpoint ab12.ngrok-free.app is offline.\r\n\r\nERR_NGROK_3200\r\n", TunnelOffline, "ERR_NGROK_3200", "offline"},
		{"the app behind ngrok is dead", 502, ngrokHeader("ERR_NGROK_8012"), "", AppDown, "ERR_NGROK_8012", "nothing listens"},
		{"the app behind ngrok is no web server", 502, ngrokHeader("ERR_NGROK_3004"), "", AppDown, "ERR_NGROK_3004", "HTTP"},
		{"ngrok over its rate", 429, ngrokHeader("ERR_NGROK_734"), "", OverRate, "ERR_NGROK_734", "wait a minute"},
		{"ngrok over its month's requests", 429, ngrokHeader("ERR_NGROK_727"), "", OverQuota, "ERR_NGROK_727", "month"},
		{"ngrok over its month's traffic", 429, ngrokHeader("ERR_NGROK_725"), "", OverQuota, "ERR_NGROK_725", "traffic"},
		{"ngrok's warning page", 200, ngrokHeader("ERR_NGROK_6024"), page("You are about to visit"), BrowserWarning, "ERR_NGROK_6024", "warning page"},
		{"ngrok's warning page without a code", 200, nil, page("You are about to visit ab12.ngrok-free.app"), BrowserWarning, "", "warning page"},
		{"a code of ngrok that we do not know", 400, ngrokHeader("ERR_NGROK_9999"), "", OtherPage, "ERR_NGROK_9999", "https://ngrok.com/docs/errors"},

		{"cloudflared is down", 530, cloudflare, "error code: 1033", TunnelOffline, "1033", "cloudflared"},
		{"cloudflared is down, as a page", 530, cloudflare, page(`<h1><span class="cf-error-type">Error</span> <span class="cf-error-code">1033</span></h1>`), TunnelOffline, "1033", "cloudflared"},
		{"cloudflared is down, as JSON", 530, cloudflare, `{"title":"Error 1033: Cloudflare Tunnel error","status":530,"error_code":1033}`, TunnelOffline, "1033", "cloudflared"},
		{"530 without a code", 530, cloudflare, "", TunnelOffline, "530", "cloudflared"},
		{"a quick tunnel that is gone", 530, cloudflare, "error code: 1016", TunnelOffline, "1016", "new URL"},
		{"the app behind cloudflared is dead", 502, cloudflare, "error code: 502", AppDown, "502", "does not answer"},
		{"the app behind cloudflared is dead, as a page", 502, cloudflare, page("Bad gateway Error code 502"), AppDown, "502", "does not answer"},
		{"Cloudflare's limit", 429, cloudflare, "error code: 1015", OverRate, "1015", "wait a minute"},
		{"an error of Cloudflare that we do not know", 530, cloudflare, "error code: 1099", OtherPage, "1099", "1099"},

		{"localtunnel's reminder", 511, nil, page("localtunnel"), BrowserWarning, "", "localtunnel"},
		{"some page", 200, nil, page("It works!"), OtherPage, "", "web page"},

		{"a node's answer", 200, nil, `{"prediction":0}`, 0, "", ""},
		{"a node's answer through Cloudflare", 200, cloudflare, `{"prediction":0}`, 0, "", ""},
		{"a node's error through Cloudflare", 503, cloudflare, `{"error":"no quorum"}`, 0, "", ""},
		{"a node's 502 through Cloudflare", 502, cloudflare, `{"error":"error code: 1033"}`, 0, "", ""},
		{"a node that speaks of ngrok", 500, nil, `{"error":"ERR_NGROK_3200"}`, 0, "", ""},
		{"a text that speaks of ngrok", 500, http.Header{"Content-Type": {"text/plain"}}, "if you see ERR_NGROK_3200, start ngrok", 0, "", ""},
		{"a good answer that is a code of ngrok", 200, http.Header{"Content-Type": {"text/plain"}}, "ERR_NGROK_3200", 0, "", ""},
		{"a node that speaks of Cloudflare", 530, nil, `error code: 1033`, 0, "", ""},
		{"nothing", 404, nil, "", 0, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.header
			if h == nil {
				h = http.Header{}
			}
			got, ok := ExplainPage(tt.status, h, []byte(tt.body))
			if ok != (tt.kind != 0) || got.Kind != tt.kind || got.Code != tt.code || !strings.Contains(got.Say, tt.say) {
				t.Fatalf("%v %+v, want kind %d, code %q, saying %q", ok, got, tt.kind, tt.code, tt.say)
			}
			if ok && (strings.Contains(got.Say, "\n") || !strings.Contains(got.Say, tt.code)) {
				t.Errorf("%q is to be one line and name %q", got.Say, tt.code)
			}
		})
	}
}

func TestEveryTroubleIsASentenceWithARemedy(t *testing.T) {
	for code, trouble := range troubles {
		if trouble.Kind == 0 || trouble.Kind == OtherPage || !strings.Contains(trouble.Say, ";") {
			t.Errorf("%s: %+v", code, trouble)
		}
	}
}

func FuzzExplainPage(f *testing.F) {
	f.Add(530, "cloudflare", "ERR_NGROK_3200", []byte("<html>error code: 1033"))
	f.Add(200, "", "", []byte("\xef\xbb\xbf <p>ngrok"))
	f.Fuzz(func(t *testing.T, status int, server, code string, body []byte) {
		h := http.Header{"Server": {server}, "Ngrok-Error-Code": {code}}
		got, ok := ExplainPage(status, h, body)
		if ok && (got.Kind == 0 || got.Say == "" || strings.ContainsAny(got.Say, "\x1b\n\r")) {
			t.Errorf("%+v", got)
		}
	})
}
