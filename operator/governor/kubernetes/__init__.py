"""The fleet in a cluster: resources from the API server, workloads as Deployments, one Governor by a Lease."""
