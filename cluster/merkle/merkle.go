// Package merkle has the hash trees of RFC 9162, section 2.1 (those of RFC 6962): one
// digest, the root, stands for a list of leaves, and a path of a few digests shows to
// whoever has the root that a leaf is in the list, and where. So one signature over a root
// is a signature over each leaf.
//
// All digests are SHA-256. A leaf's begins with a byte 0 and an inner node's with a byte 1,
// so that neither passes for the other. A node without a sibling is moved up as it is.
//
// The same path may lead to the same root in trees of different sizes. Who signs a root
// therefore signs the size with it.
package merkle

import "crypto/sha256"

// Size is the length of a digest in bytes.
const Size = sha256.Size

// MaxLeaves is how many leaves a tree may have, so that a place in it has 16 bits.
const MaxLeaves = 1<<16 - 1

// Leaf returns the digest of a leaf with the given content.
func Leaf(content []byte) [Size]byte {
	var room [1024]byte // contents are short, and this keeps them off the heap
	return sha256.Sum256(append(append(room[:0], 0), content...))
}

// node returns the digest of the node above two.
func node(left, right *[Size]byte) [Size]byte {
	var b [1 + 2*Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+Size:], right[:])
	return sha256.Sum256(b[:])
}

// Tree is a tree that paths can be read from. Its memory is used again by the next Grow.
type Tree struct {
	levels [][][Size]byte // leaves first, the root alone last
}

// Grow makes t the tree over leaves, of which there must be 1 to MaxLeaves; it copies them.
func (t *Tree) Grow(leaves [][Size]byte) {
	level := append(t.level(0), leaves...)
	t.levels[0] = level
	depth := 1
	for len(level) > 1 {
		next := t.level(depth)
		for i := 0; i+1 < len(level); i += 2 {
			next = append(next, node(&level[i], &level[i+1]))
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		t.levels[depth] = next
		level, depth = next, depth+1
	}
	t.levels = t.levels[:depth]
}

// level returns the memory of a level, empty.
func (t *Tree) level(i int) [][Size]byte {
	if i < cap(t.levels) {
		t.levels = t.levels[:i+1]
	} else {
		t.levels = append(t.levels, nil)
	}
	return t.levels[i][:0]
}

// Root returns the root.
func (t *Tree) Root() [Size]byte { return t.levels[len(t.levels)-1][0] }

// AppendPath appends the path of leaf i to dst: the digests that Root needs, from the leaf up.
func (t *Tree) AppendPath(dst []byte, i int) []byte {
	for _, level := range t.levels[:len(t.levels)-1] {
		if sibling := i ^ 1; sibling < len(level) {
			dst = append(dst, level[sibling][:]...)
		}
		i /= 2
	}
	return dst
}

// PathLength returns how many bytes the path of leaf index among size has, or -1 if there is
// no such leaf.
func PathLength(index, size int) int {
	if index < 0 || index >= size || size > MaxLeaves {
		return -1
	}
	n := 0
	for last := size - 1; last > 0; index, last = index/2, last/2 {
		if index^1 <= last { // it has a sibling
			n += Size
		}
	}
	return n
}

// Root returns the root of the tree of size leaves in which leaf stands at index, as path
// has it. ok is false if there is no such place, or the path is not as long as it has to be.
func Root(leaf [Size]byte, index, size int, path []byte) (root [Size]byte, ok bool) {
	if n := PathLength(index, size); n < 0 || n != len(path) {
		return root, false
	}
	root = leaf
	for last := size - 1; last > 0; index, last = index/2, last/2 {
		if index^1 > last {
			continue
		}
		sibling := (*[Size]byte)(path)
		path = path[Size:]
		if index%2 == 0 {
			root = node(&root, sibling)
		} else {
			root = node(sibling, &root)
		}
	}
	return root, true
}
