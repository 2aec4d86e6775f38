"""What stands behind the feeds' ports: Postgres."""
