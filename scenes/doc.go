// Package scenes plays the product where it is used: real processes of the real
// binary, in network namespaces that the test makes and removes, so that a node is
// as far away from another as a laptop behind somebody's router.
//
// The tests run on Linux, as root, with ip (iproute2); elsewhere they skip and say so.
// Every address of theirs is inside their own namespaces, which have no way out.
package scenes
