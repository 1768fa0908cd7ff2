// Package reach finds out under which URL other nodes can reach this one, and
// keeps this node's own outbound connections away from addresses that nobody
// outside should be able to make it call.
//
// # This node's URL
//
// Five sources may know one; Chooser takes the first that applies:
//
//  1. --public-url, typed by a person;
//  2. Agent: a running ngrok agent's tunnel to our port, read from its local API;
//  3. Tunnel: an endpoint of our own at ngrok, over the official SDK;
//  4. AskDialBack: our observed address and listening port, if the peer that we
//     joined could dial it and met our id there (Dialer is that peer's end);
//  5. RelayURL at the member that PickRelay picks.
//
// Nothing here touches the membership: the package above passes on what Chooser
// says, wires the dial-back to a stream, and counts whom each relay carries.
//
// # Outbound connections
//
// A Policy judges the address that is really dialled, after name resolution, so
// that neither another way to write an address nor a name that changes its
// answer gets around it. What a person typed may be nearly anything; what gossip
// says must be public or on a network that this machine itself is on. Strangers
// keeps a URL that leads to somebody else from being called again and again.
//
// Sources: ngrok's agent API (https://ngrok.com/docs/agent/api), its error codes
// (https://ngrok.com/docs/errors), Cloudflare's 1033 (https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/error-1033/),
// and IANA's registries of special-purpose addresses (RFC 6890 and successors).
package reach
