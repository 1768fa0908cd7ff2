//go:build !linux

package scenes

import "testing"

func TestScenesNeedLinux(t *testing.T) {
	t.Skip("the scenes are played in network namespaces, which only Linux has")
}
