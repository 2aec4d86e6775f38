// Command control-plane holds what an API server needs, in one binary: etcd, kube-apiserver, and the clients kubectl
// and helm.
package main

import (
	"errors"
	"log/slog"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	helm "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"

	"tradefleet.dev/cluster/components"
)

func main() {
	components.Components{
		"etcd":           runEtcd,
		"helm":           runHelm,
		"kube-apiserver": components.Command(apiserver.NewAPIServerCommand),
		"kubectl":        components.Command(kubectl.NewDefaultKubectlCommand),
	}.Run()
}

func runEtcd() int {
	etcdmain.Main(os.Args)
	return 0
}

func runHelm() int {
	kube.ManagedFieldsManager = "helm" // else fields would be owned by a manager called as this program is
	command, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
	if err == nil {
		err = command.Execute() // which has said what was wrong
	} else {
		slog.Warn("command failed", slog.Any("error", err))
	}
	var failed helm.CommandError
	switch {
	case errors.As(err, &failed):
		return failed.ExitCode
	case err != nil:
		return 1
	}
	return 0
}
