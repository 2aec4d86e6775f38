"""SQL of a local fleet's resources."""

_THIS = "fleet = %(fleet)s AND kind = %(kind)s AND namespace = %(namespace)s AND name = %(name)s"
_CHANGE = "UPDATE tradefleet.resource SET resource_version = resource_version + 1, "

# Two who apply at once come one after the other: what was checked is what is written.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('tradefleet/' || %(fleet)s))"

ALL = """
SELECT kind, namespace, name, uid, generation, resource_version, spec, status, labels, annotations, finalizers,
    created_us, deleted_us
FROM tradefleet.resource WHERE fleet = %(fleet)s"""

CREATE = """
INSERT INTO tradefleet.resource (fleet, kind, namespace, name, uid, generation, resource_version, spec, labels,
    annotations, finalizers, created_us)
VALUES (%(fleet)s, %(kind)s, %(namespace)s, %(name)s, %(uid)s, 1, 1, %(spec)s, %(labels)s, %(annotations)s,
    %(finalizers)s, %(now_us)s)"""

CHANGE = f"""{_CHANGE} spec = %(spec)s, labels = %(labels)s, annotations = %(annotations)s,
    generation = generation + %(generations)s WHERE {_THIS}"""

CHANGE_SPEC = f"""{_CHANGE} spec = spec || %(changes)s::jsonb, generation = generation + 1
WHERE {_THIS} AND NOT spec @> %(changes)s::jsonb RETURNING uid"""

ANNOTATION = f"SELECT annotations ->> %(annotation)s FROM tradefleet.resource WHERE {_THIS} FOR UPDATE"  # noqa: S608 - constants

ANNOTATE = f"{_CHANGE} annotations = annotations || %(annotations)s::jsonb WHERE {_THIS}"

DELETE = f"{_CHANGE} deleted_us = %(now_us)s WHERE {_THIS} AND deleted_us IS NULL RETURNING uid"

REMOVE = "DELETE FROM tradefleet.resource WHERE fleet = %(fleet)s AND uid = %(uid)s"

WRITE_STATUS = "UPDATE tradefleet.resource SET status = %(status)s WHERE fleet = %(fleet)s AND uid = %(uid)s"

NOTIFY = "SELECT pg_notify(%(channel)s, '')"

EVENTS = """
SELECT at_us, actor, action, detail FROM tradefleet.audit_log
WHERE fleet = %(fleet)s AND object = %(object)s ORDER BY entry DESC LIMIT %(limit)s"""
