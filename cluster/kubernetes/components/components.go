// Package components starts one of the programs that a binary holds, as the programs themselves would start.
package components

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the metrics that dashboards expect
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// Components are programs by their names; each runs with os.Args and returns its exit code.
type Components map[string]func() int

// Run runs the program that the binary is called by (as a link to it is), else the one that its first argument names,
// and ends the process with the program's exit code.
func (components Components) Run() {
	name := filepath.Base(os.Args[0])
	run, found := components[name]
	if !found && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		run, found = components[os.Args[0]]
	}
	if !found {
		names := make([]string, 0, len(components))
		for each := range components {
			names = append(names, each)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "usage: %s %s [flags]\n", name, strings.Join(names, "|"))
		os.Exit(2)
	}
	os.Exit(run())
}

// Command returns a component of Kubernetes, which is a cobra command. It is built only when it runs: building it
// registers flags and metrics that another component would register again.
func Command(build func() *cobra.Command) func() int {
	return func() int { return cli.Run(build()) }
}
