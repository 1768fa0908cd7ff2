// Package deploy holds what runs Caucus elsewhere: a manifest for Kubernetes, alerts for
// Prometheus, a dashboard for Grafana. There is no code in it but tests that read these files.
package deploy
