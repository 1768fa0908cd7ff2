// Package api is the HTTP interface of a node: routes, decoding and its checks,
// errors to statuses, access rules, limits, metrics, and the typed client of all that.
// It is the only package with Gin. What it needs of the node that it serves is the small
// interface Node; of this module it imports the page's assets and nothing else.
//
//	address                  who             answers
//	GET, POST /predict       everybody       200; 400 the input; 413, 415; 503 the model is too slow or busy
//	GET, POST /consensus     everybody, rate limited for clients off this machine
//	                                         200; 400, 413, 415; 429; 503 joining, quorum-not-reached
//	GET /healthz             everybody       200 while the process lives
//	GET /readyz              everybody       200 once /consensus is answered; 503 says why not
//	GET /card                everybody       200 this node's signed card with its task
//	GET /gossip              other nodes     the session, which proves identity and token itself
//	/v2/...                  everybody       Open Inference Protocol
//	GET /members             local, bearer   the roster as this node sees it
//	POST /members/forget     local, bearer   takes failed members out of it
//	POST /members/remove     local, bearer   keeps a node out for good, or takes that back
//	POST /invite/rotate      bearer          another token for the cluster
//	GET /rounds, /rounds/id  local, bearer   recent rounds of the cluster
//	GET /metrics             local, bearer   Prometheus
//	GET /, /assets, /events  local, bearer   the page
//
// Local, bearer: from this machine (the peer and the Host are loopback, and no proxy left its
// mark), or with the cluster's bearer. A node without a token opens these routes to all who
// reach it, but on loopback only under a name that is its own.
//
// Everything that is not a success is a Problem, and problemOf is the only place where an
// error becomes a status: 400 for anything wrong with the input, 401, 403, 404, 405 with Allow,
// 409, 413, 415, 429 and 503 with Retry-After, 500 for what is this node's fault.
//
// models=knn,svm at /consensus narrows a round to members with these kinds of model: n, and
// with it the majority, is then theirs alone.
package api
