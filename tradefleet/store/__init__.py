"""Postgres: tables, roles, migrations and the queries that keep the outbox, positions, leases and epochs.

Workloads use the psycopg queries; SQLAlchemy and Alembic are imported by the migrations and the command only.
"""
