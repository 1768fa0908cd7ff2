// Package mdns finds nodes of the same token on the local network, by multicast DNS
// (RFC 6762, 6763), and lets itself be found by them.
//
// A node answers for the service _caucus._tcp under the name of its id. What counts is in
// the TXT record:
//
//	v=1                           the version
//	url=http://192.168.1.5:5001   an address of the node, at most 8 of these
//	tag=...                       for each token, a MAC over the id and the URLs in this order
//
// The key of the MAC is derived from the token, which has 256 random bits: so nothing can be
// guessed from the tag, nobody without the token can make one, and it is of no use for other
// URLs. What can be done is to play a record again; it leads to its node or to nobody, for who
// is dialled proves id and token in the session. A network's other machines do see that there
// is a node, under which id and addresses.
//
// An open cluster has no token, and its tag no secret: its nodes find all open nodes.
//
// Everything that comes from the network is at most a reason to dial, under the rules for
// what others tell.
package mdns

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"caucus/cluster/identity"
)

// Record is what a node tells of itself.
type Record struct {
	ID   identity.ID
	URLs []string // base URLs, at most MaxURLs
}

// MaxURLs is how many addresses a record may have.
const MaxURLs = 8

const (
	service    = "_caucus._tcp"
	domain     = "local."
	version    = "v=1"
	urlField   = "url="
	tagField   = "tag="
	maxField   = 255 // bytes of a string in a TXT record
	maxTags    = 4   // as many tokens as may be good at one time
	tagContext = "caucus mdns v1\x00"
	maxTXT     = 1 + MaxURLs + maxTags
)

// Why a record is not believed.
var (
	ErrRecord = errors.New("mdns: malformed record")
	// ErrOther is the record of a node of another cluster.
	ErrOther = errors.New("mdns: a node of another cluster")
)

// Text returns the strings of the record's TXT, with a tag for each token; none: for an open cluster.
func (r Record) Text(tokens []identity.Token) ([]string, error) {
	if err := r.valid(); err != nil {
		return nil, err
	}
	out := []string{version}
	for _, u := range r.URLs {
		out = append(out, urlField+u)
	}
	if len(tokens) == 0 {
		return append(out, tagField+r.tag(nil)), nil
	}
	for _, t := range tokens[:min(len(tokens), maxTags)] {
		out = append(out, tagField+r.tag(t.DiscoveryKey()))
	}
	return out, nil
}

// Parse reads the record of the node with that id. It is believed if one of the tokens made one of its tags;
// if not, the error is ErrOther. What cannot be read is ErrRecord.
func Parse(id identity.ID, txt []string, tokens []identity.Token) (Record, error) {
	if len(txt) > maxTXT || len(txt) == 0 || txt[0] != version {
		return Record{}, fmt.Errorf("%w: it is of another version, or has %d strings and not 2 to %d", ErrRecord, len(txt), maxTXT)
	}
	r := Record{ID: id}
	var tags []string
	for _, s := range txt[1:] {
		if u, ok := strings.CutPrefix(s, urlField); ok && len(tags) == 0 {
			r.URLs = append(r.URLs, u)
		} else if t, ok := strings.CutPrefix(s, tagField); ok {
			tags = append(tags, t)
		} else {
			return Record{}, fmt.Errorf("%w: it has a string that is neither url= nor tag=", ErrRecord)
		}
	}
	if err := r.valid(); err != nil {
		return Record{}, err
	}
	keys := [][]byte{nil}
	if len(tokens) > 0 {
		keys = keys[:0]
		for _, t := range tokens {
			keys = append(keys, t.DiscoveryKey())
		}
	}
	for _, key := range keys {
		want := r.tag(key)
		for _, tag := range tags {
			if hmac.Equal([]byte(want), []byte(tag)) {
				return r, nil
			}
		}
	}
	return Record{}, ErrOther
}

func (r Record) valid() error {
	if _, err := identity.ParseID(string(r.ID)); err != nil {
		return fmt.Errorf("%w: %v", ErrRecord, err)
	}
	if len(r.URLs) == 0 || len(r.URLs) > MaxURLs {
		return fmt.Errorf("%w: it has %d URLs and not 1 to %d", ErrRecord, len(r.URLs), MaxURLs)
	}
	for _, u := range r.URLs {
		if normal, err := identity.ParseURL(u); err != nil || normal != u || len(urlField)+len(u) > maxField {
			return fmt.Errorf("%w: a URL that is none, or too long", ErrRecord)
		}
	}
	return nil
}

// tag is the MAC, under no key at all for an open cluster. ids have one length and URLs no NUL,
// so parts cannot run into one another.
func (r Record) tag(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(tagContext))
	mac.Write([]byte(r.ID))
	for _, u := range r.URLs {
		mac.Write([]byte(u))
		mac.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
