package reach

import (
	"fmt"
	"testing"
	"time"
)

func TestStrangersAreCalledOnceInTenMinutes(t *testing.T) {
	s := NewStrangers()
	start := time.Unix(1000, 0)
	const url = "https://bank.example"
	wants := func(id string, at, want time.Duration) {
		t.Helper()
		if got := s.Wait(url, asker, start.Add(at)); id == "asker" && got != want {
			t.Fatalf("asker after %v: wait %v, want %v", at, got, want)
		}
		if got := s.Wait(url, other, start.Add(at)); id == "other" && got != want {
			t.Fatalf("other after %v: wait %v, want %v", at, got, want)
		}
	}
	wants("asker", 0, 0)
	s.Met(url, other, start) // asker's card says so, but other answers
	wants("asker", 0, 10*time.Minute)
	wants("asker", 9*time.Minute, time.Minute)
	wants("asker", 10*time.Minute, 0)
	wants("other", 0, 0) // it is not kept from the node that is there

	s.Failed(url, start.Add(time.Minute)) // other restarts
	wants("other", time.Minute, 0)
	wants("asker", time.Minute, 9*time.Minute)

	s.Met(url, asker, start.Add(time.Hour)) // the domain has gone to asker
	wants("asker", time.Hour, 0)
	wants("other", time.Hour, 10*time.Minute)
}

func TestSilentStrangersAreCalledLessAndLess(t *testing.T) {
	s := NewStrangers()
	now := time.Unix(1000, 0)
	calls := 0
	for end := now.Add(time.Hour); now.Before(end); now = now.Add(time.Second) { // a card that is gossiped again each second
		if s.Wait("http://203.0.113.9:5001", asker, now) == 0 {
			calls++
			s.Failed("http://203.0.113.9:5001", now)
		}
	}
	// 10 s, 20 s, ... 320 s, then one in ten minutes.
	if calls < 8 || calls > 13 {
		t.Errorf("%d calls in an hour", calls)
	}
	s.Met("http://203.0.113.9:5001", asker, now)
	s.Failed("http://203.0.113.9:5001", now)
	if w := s.Wait("http://203.0.113.9:5001", asker, now); w != 0 {
		t.Errorf("a node that was met waits %v", w)
	}
}

func TestStrangersAreForgottenBeforeTheyAreTooMany(t *testing.T) {
	s := NewStrangers()
	now := time.Unix(1000, 0)
	s.Met("https://friend.example", other, now.Add(time.Minute))
	for i := range 5000 {
		s.Failed(fmt.Sprintf("https://n%d.example", i), now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(s.url) > maxStrangers {
		t.Errorf("%d remembered", len(s.url))
	}
	if s.Wait("https://friend.example", asker, now.Add(time.Minute)) == 0 {
		t.Error("what counts longest went first")
	}
	for i := range maxStrangers / 2 {
		s.Failed(fmt.Sprintf("https://late%d.example", i), now.Add(time.Hour))
	}
	if len(s.url) != maxStrangers/2 {
		t.Errorf("%d remembered after an hour", len(s.url))
	}
}
