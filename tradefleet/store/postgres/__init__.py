"""The ports over psycopg 3: SQL as named constants beside the module that runs it.

Everything here is on the way of an order, so it imports psycopg, msgspec and the domain, and nothing heavier.
"""
