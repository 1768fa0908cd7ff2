package cluster

import "testing"

func TestNobodyIsForgottenBeforeTheOthersCanBeCalled(t *testing.T) {
	t.Parallel()
	for _, p := range []Profile{LAN, Tunnel} {
		x, err := timings(p, 1)
		if err != nil {
			t.Fatal(err)
		}
		noticed := 3 * x.keepAlive
		called := defaultRejoinMax + dialWithin
		if least := (noticed + called) * 3 / 2; MinForgetAfter(p) < least {
			t.Errorf("%s: %v, and it takes %v to notice a split and %v to call all after it", p, MinForgetAfter(p), noticed, called)
		}
	}
}
