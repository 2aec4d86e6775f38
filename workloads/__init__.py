"""The processes of a fleet, one folder each: a pure machine in the core modules, its edges in adapters and main.

A workload may import another workload's machine, never its edges.
"""
