"""The fleet without a cluster: local processes, and a real Kafka and Postgres inside one data folder."""
