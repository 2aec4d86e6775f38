// Command node holds, in one binary, what turns an API server into a Kubernetes with a node: the controllers, the
// scheduler, the kubelet, kube-proxy and the cluster's DNS.
package main

import (
	"context"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	"github.com/spf13/cobra"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"tradefleet.dev/cluster/components"
)

func main() {
	components.Components{
		"coredns":                 runCoreDNS,
		"kube-controller-manager": components.Command(controllers.NewControllerManagerCommand),
		"kube-proxy":              components.Command(proxy.NewProxyCommand),
		"kube-scheduler":          components.Command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":                 components.Command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	}.Run()
}

// Only the plugins that a cluster's DNS needs, in the order in which a query passes them: CoreDNS's own list brings the
// clients of several clouds.
func runCoreDNS() int {
	dnsserver.Directives = []string{"bind", "ready", "errors", "cache", "kubernetes", "forward"}
	coremain.Run()
	return 0
}
