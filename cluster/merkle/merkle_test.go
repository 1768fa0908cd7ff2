package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
)

// digests returns n leaves.
func digests(n int) [][Size]byte {
	out := make([][Size]byte, n)
	for i := range out {
		out[i] = Leaf([]byte{byte(i), byte(i >> 8)})
	}
	return out
}

// slow is the definition in RFC 9162, section 2.1.1, word for word.
func slow(leaves [][Size]byte) [Size]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := slow(leaves[:k]), slow(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func TestTheTreeIsThatOfRFC9162(t *testing.T) {
	var tree Tree
	for n := 1; n <= 70; n++ {
		tree.Grow(digests(n))
		if tree.Root() != slow(digests(n)) {
			t.Errorf("%d leaves: another root", n)
		}
	}
	// The roots over the leaves that Certificate Transparency's own tests use.
	var leaves [][Size]byte
	for _, text := range []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"} {
		content, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, Leaf(content))
	}
	for n, want := range map[int]string{
		1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	} {
		tree.Grow(leaves[:n])
		if root := tree.Root(); hex.EncodeToString(root[:]) != want {
			t.Errorf("%d leaves: %x, want %s", n, root, want)
		}
	}
}

func TestAPathShowsOneLeafAtOnePlace(t *testing.T) {
	var tree Tree
	for n := 1; n <= 33; n++ {
		leaves := digests(n)
		tree.Grow(leaves)
		root := tree.Root()
		for i := range n {
			path := tree.AppendPath(nil, i)
			if len(path) != PathLength(i, n) {
				t.Fatalf("leaf %d of %d: a path of %d bytes, PathLength says %d", i, n, len(path), PathLength(i, n))
			}
			if got, ok := Root(leaves[i], i, n, path); !ok || got != root {
				t.Fatalf("leaf %d of %d: the path leads to another root", i, n)
			}
			for j := range n {
				if got, ok := Root(leaves[i], j, n, path); ok && got == root && j != i {
					t.Fatalf("leaf %d of %d passes for leaf %d", i, n, j)
				}
				if got, ok := Root(leaves[j], i, n, path); ok && got == root && j != i {
					t.Fatalf("leaf %d of %d passes for leaf %d's content", j, n, i)
				}
			}
			for k := range path {
				changed := bytes.Clone(path)
				changed[k] ^= 1
				if got, ok := Root(leaves[i], i, n, changed); ok && got == root {
					t.Fatalf("leaf %d of %d: byte %d of the path may be changed", i, n, k)
				}
			}
			for _, other := range [][]byte{append(bytes.Clone(path), make([]byte, Size)...), append(bytes.Clone(path), 0)} {
				if _, ok := Root(leaves[i], i, n, other); ok {
					t.Fatalf("leaf %d of %d: a longer path is taken", i, n)
				}
			}
			if len(path) > 0 {
				if _, ok := Root(leaves[i], i, n, path[Size:]); ok {
					t.Fatalf("leaf %d of %d: a shorter path is taken", i, n)
				}
			}
		}
	}
}

func TestPlacesThatAreNotThere(t *testing.T) {
	for _, c := range [][2]int{{-1, 3}, {3, 3}, {0, 0}, {0, -1}, {0, MaxLeaves + 1}} {
		if n := PathLength(c[0], c[1]); n != -1 {
			t.Errorf("leaf %d of %d has a path of %d bytes", c[0], c[1], n)
		}
		if _, ok := Root([Size]byte{}, c[0], c[1], nil); ok {
			t.Errorf("leaf %d of %d is there", c[0], c[1])
		}
	}
	if PathLength(0, MaxLeaves) != 16*Size {
		t.Error("the largest tree has not 16 levels above its leaves")
	}
}

func TestAnInnerNodeIsNoLeaf(t *testing.T) {
	a, b := Leaf([]byte("a")), Leaf([]byte("b"))
	both := append(append([]byte{}, a[:]...), b[:]...)
	if Leaf(both) == node(&a, &b) {
		t.Error("a leaf may pass for the node above two")
	}
}

func BenchmarkTree(b *testing.B) {
	for _, n := range []int{8, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			leaves, path := digests(n), make([]byte, 0, 16*Size)
			var tree Tree
			b.ReportAllocs()
			for b.Loop() {
				tree.Grow(leaves)
				for i := range leaves {
					path = tree.AppendPath(path[:0], i)
				}
			}
		})
	}
}
