package main

import (
	"bytes"
	"regexp"
	"testing"

	"caucus/node/api"
)

func TestMembersSaysWhoRelaysForWhom(t *testing.T) {
	var out, talk bytes.Buffer
	a := &app{out: &out, err: &talk, self: "caucus"}
	a.showMembers(&out, &api.MembersReply{Self: "aaaa", Members: []api.Member{
		{ID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Name: "ana", State: "alive", Carries: []string{"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccccccccc"}},
		{ID: "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", Name: "bo", State: "alive", Via: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{ID: "cccccccccccccccccccccccccccccccc", Name: "bo", State: "suspect", Reason: "no session", Via: "dddddddddddddddddddddddddddddddd"},
	}})
	for _, want := range []string{
		`(?m)^ *ana .*relays for bbbb\w* and cccc\w*$`, // two are called bo
		`(?m)^ *bo \(bbbb\w*\) .*reached through ana$`,
		`(?m)^ *bo \(cccc\w*\) .*no session; reached through dddd\w*$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no line like %q in\n%s", want, out.String())
		}
	}
}
