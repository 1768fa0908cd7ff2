// Command caucus runs and asks nodes that predict together: each hosts one model,
// they find one another, and any of them gives the joint answer.
//
// Data goes to standard output, talk to standard error. Exit codes: 0 fine,
// 1 failure, 2 usage, 3 no quorum, 4 could not join, 130 interrupted.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "dev"

func main() {
	cobra.EnableCommandSorting = false // help lists commands in the order in which one needs them
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	onSignal(cancel)
	os.Exit(run(ctx, newApp(os.Stdin, os.Stdout, os.Stderr), os.Args[1:]))
}

// onSignal asks for a clean end at the first signal, and ends at once at the second:
// who presses Ctrl-C twice does not want to wait.
func onSignal(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup asks to go on without a terminal
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitInterrupted)
	}()
}
