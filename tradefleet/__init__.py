"""What every process of a fleet shares: domain, messages, resources, bus, store, runtime; and the command on top."""
