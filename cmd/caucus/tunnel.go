package main

import (
	"context"
	"net"
	"strconv"
	"time"

	"caucus/cluster/reach"
	"caucus/configs"
	"caucus/node/api"
)

// findTunnel looks once for an ngrok agent that leads to the port on which a node is about
// to listen, so that the node begins as one that strangers can reach: with a token.
func findTunnel(ctx context.Context, s *configs.Settings) {
	if s.Node.PublicURL != "" || s.Node.Ngrok {
		return
	}
	_, text, err := net.SplitHostPort(s.Node.Listen)
	if err != nil {
		return // the node says so itself
	}
	port, err := strconv.Atoi(text)
	if err != nil || port == 0 {
		return // any free port: no tunnel can lead there yet
	}
	agent, err := reach.NewAgent(reach.AgentConfig{Port: port})
	if err != nil {
		return
	}
	if found, err := agent.Find(ctx); err == nil { // no agent is the usual case
		s.TunnelURL = found.URL
	}
}

// urlWithin is how long it takes until a tunnel that is expected shows on the card.
const urlWithin = 10 * time.Second

// cardWithURL returns the card as soon as it has the URL of the tunnel that is expected; as
// it is, if there is none or it takes too long.
func cardWithURL(ctx context.Context, c *api.Client, s configs.Settings) (*api.CardReply, error) {
	card, err := c.Card(ctx)
	if err != nil || s.TunnelURL == "" && !s.Node.Ngrok {
		return card, err
	}
	ctx, cancel := context.WithTimeout(ctx, urlWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for card.URL == "" || isLoopback(card.URL) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return card, nil
		}
		if next, err := c.Card(ctx); err == nil {
			card = next
		}
	}
	return card, nil
}
