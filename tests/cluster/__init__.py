"""Tests against a real API server, and against a whole Kubernetes, which they start themselves."""
