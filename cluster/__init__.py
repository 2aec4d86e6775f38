"""A real Kubernetes on this machine, to try the fleet on and to test it: `python -m cluster`.

Nothing is downloaded ready-made: the programs are built once from the Go modules that `kubernetes/go.sum` pins.
"""
