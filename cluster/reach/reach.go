// Package reach finds out under which URL other nodes can reach this one.
package reach
