"""What every workload process is wrapped in: settings, logging, metrics, health, and the supervised main loop."""
