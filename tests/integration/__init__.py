"""Tests against a real Kafka and a real Postgres, which they start themselves."""
