"""The messages between processes: their types, topics and the Avro codec with its schemas.

Knows the domain and nothing of Kafka; the schema files are generated from the Python types.
"""
