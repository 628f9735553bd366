// SPDX-License-Identifier: Apache-2.0

// Temporal's own test server, with its memory for storage. It says where it listens, and its namespace.
package main

import (
	"fmt"
	"os"
	"os/signal"

	"go.temporal.io/server/temporaltest"
)

func main() {
	server := temporaltest.NewServer()
	fmt.Println("listens", server.GetFrontendHostPort(), server.GetDefaultNamespace())
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	<-interrupted
	server.Stop()
}
