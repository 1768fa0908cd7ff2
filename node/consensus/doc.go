// Package consensus is the pure function from a rule, the invited members and
// their votes to an outcome. It does no I/O, reads no clock, draws no random
// number and logs nothing, so that equal inputs give equal outcomes on every node
// and every processor.
package consensus
