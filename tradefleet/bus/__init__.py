"""The message bus as a port: Kafka streams with gapless numbers, and the in-memory twin under the same contract."""
