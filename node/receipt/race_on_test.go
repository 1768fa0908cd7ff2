//go:build race

package receipt

// stride is how many bytes a test goes on at a time; the race detector has nothing to find there.
const stride = 29
