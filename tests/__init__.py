"""The tests, by what they need: unit, simulation, integration (a real Kafka and Postgres)."""
