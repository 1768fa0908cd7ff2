// Package api is the HTTP interface of a node: routes, decoding and its checks,
// errors to statuses, access rules, metrics, and the typed client of all that.
// It is the only package with Gin. What it needs of the node that it serves is the
// small interface Node; it imports nothing else of this module.
package api
