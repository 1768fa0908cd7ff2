package main

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"caucus/cluster/identity"
)

// invitation is what a teammate needs to come in.
type invitation struct {
	url   string
	token *identity.Token // nil: the cluster is open
	kinds []string        // of model that are there already
	task  string
}

// line is the command to paste. The quotes keep # from beginning a comment.
func (i invitation) line() string {
	return "caucus serve --model " + i.newcomer() + ` --join "` + i.text() + `"`
}

// text is the invite: URL#TOKEN, or the URL alone.
func (i invitation) text() string {
	if i.token == nil {
		return i.url
	}
	return i.url + "#" + i.token.String()
}

// newcomer is a kind of model that the cluster does not have yet.
func (i invitation) newcomer() string {
	for _, k := range []string{"svm", "randforest", "knn", "tree"} {
		if !slices.Contains(i.kinds, k) {
			return k
		}
	}
	return "svm"
}

// notes say what the line does not.
func (i invitation) notes() []string {
	var notes []string
	if isLoopback(i.url) {
		notes = append(notes, "This address works on this machine only; for others give --listen :5001 (same network) or --public-url URL.")
	}
	if i.task != "" && i.task != "iris" {
		notes = append(notes, "They add --data FILE (and --label) with the same columns and labels: the model is fitted on their machine.")
	}
	return notes
}

// outsideURL is how others reach a node: the address on its card, else the one it
// listens on, with this machine's address in the network in place of "every interface".
func outsideURL(card, listen string) string {
	if card != "" {
		return card
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if own := lanAddress(); own != "" {
			return "http://" + net.JoinHostPort(own, port)
		}
	}
	return "http://" + dialable(listen)
}

// isLoopback reports whether a URL leads to this machine whoever follows it.
func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// lanAddress returns this machine's first IPv4 address in a network, or "".
func lanAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// originOf drops what a person pasted after the origin.
func originOf(address string) string {
	s, _, _ := strings.Cut(strings.TrimSpace(address), "#")
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	return strings.TrimRight(s, "/")
}
