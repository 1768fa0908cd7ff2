// Package evidence is the replicated log of labelled rows from which weights are learnt.
package evidence
