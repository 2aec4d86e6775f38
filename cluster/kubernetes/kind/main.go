// Command kind runs a Kubernetes in Docker, for machines that have Docker.
package main

import "sigs.k8s.io/kind/cmd/kind/app"

func main() {
	app.Main()
}
