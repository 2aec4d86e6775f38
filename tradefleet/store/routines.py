"""The functions and views of the schema, as SQL: put in place again by every upgrade, so they are those of the code.

Leases are taken through functions that run with the owner's rights: a log-in may ask for its own lease, and no log-in
may write an epoch. The functions look at `session_user`, which SET ROLE does not change. Their error codes (TF001 and
so on) are turned into our errors by `tradefleet.store.postgres.translation`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """A function: its signature (for DROP and GRANT), the whole statement, and the components that may call it."""

    signature: str
    statement: str
    callers: frozenset[str] = frozenset()


_EVERYBODY = frozenset({"feed", "gateway", "venue", "holder", "backtest", "recorder", "reader", "supervisor"})

NOW_US = Routine(
    signature="tradefleet.now_us()",
    statement="""
CREATE OR REPLACE FUNCTION tradefleet.now_us() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$""",
    callers=_EVERYBODY,
)

# Inside a statement with several parts this is the way to refuse the whole of it, in the one round trip it takes.
REQUIRE = Routine(
    signature="tradefleet.require(boolean, text, text)",
    statement="""
CREATE OR REPLACE FUNCTION tradefleet.require(holds boolean, code text, message text) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF holds IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message;
    END IF;
    RETURN true;
END $$""",
    callers=_EVERYBODY,
)

LOGIN_FLEET = Routine(
    signature="tradefleet.login_fleet(text)",
    statement="""
CREATE OR REPLACE FUNCTION tradefleet.login_fleet(wanted_component text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT fleet FROM tradefleet.login_role WHERE role = session_user AND component = wanted_component $$""",
    callers=_EVERYBODY,
)

OWN_UIDS = Routine(
    signature="tradefleet.own_uids(text)",
    statement="""
CREATE OR REPLACE FUNCTION tradefleet.own_uids(prefix text) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT coalesce(array_agg(prefix || uid), '{}') FROM tradefleet.bot WHERE db_role = session_user $$""",
    callers=frozenset({"holder"}),
)

OWN_PARTICIPANTS = Routine(
    signature="tradefleet.own_participants()",
    statement="""
CREATE OR REPLACE FUNCTION tradefleet.own_participants() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg('bot:' || bot || '@' || uid), '{}') FROM tradefleet.bot WHERE db_role = session_user
$$""",
    callers=frozenset({"holder"}),
)

# The owner of the schema (and a superuser) may do everything; a log-in only what its component is for.
MAY_LEASE = Routine(
    signature="tradefleet.may_lease(text, text, text)",
    statement="""
CREATE OR REPLACE FUNCTION tradefleet.may_lease(of_fleet text, of_kind text, of_uid text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_has_role(session_user, (SELECT nspowner FROM pg_namespace WHERE nspname = 'tradefleet'), 'MEMBER')
        OR EXISTS (SELECT FROM tradefleet.login_role
                   WHERE role = session_user AND fleet = of_fleet AND component = of_kind)
        OR (of_kind = 'bot' AND EXISTS (SELECT FROM tradefleet.bot
                                        WHERE fleet = of_fleet AND uid = of_uid AND db_role = session_user))
$$""",
)

_LEASE_TABLES = {  # kind of routine: table, key column, condition that the row may be leased at all
    "bot": ("bot", "uid", " AND retired IS NULL"),
    "gateway": ("gateway", "account", ""),
    "lease": ("lease", "name", " AND starts_with(row_key, of_kind || '/')"),
}

# What may be asked for through each routine: without this, a bot's log-in could name its own component as the kind.
_KINDS = {"bot": "('bot')", "gateway": "('gateway')", "lease": "('feed', 'venue')"}

_FIRST_LEASE = {
    "bot": """
        INSERT INTO tradefleet.bot (fleet, uid, bot) VALUES (of_fleet, row_key, of_key) ON CONFLICT DO NOTHING;
        INSERT INTO tradefleet.stream (fleet, stream)
            VALUES (of_fleet, 'orders/' || row_key), (of_fleet, 'executions/' || row_key) ON CONFLICT DO NOTHING;
        INSERT INTO tradefleet.halt (fleet, scope) VALUES (of_fleet, 'bot/' || of_key) ON CONFLICT DO NOTHING;""",
    "gateway": """
        INSERT INTO tradefleet.gateway (fleet, account) VALUES (of_fleet, row_key) ON CONFLICT DO NOTHING;
        INSERT INTO tradefleet.halt (fleet, scope) VALUES (of_fleet, 'account/' || of_key) ON CONFLICT DO NOTHING;""",
    "lease": """
        INSERT INTO tradefleet.lease (fleet, name) VALUES (of_fleet, row_key) ON CONFLICT DO NOTHING;""",
}

_RETIRED = {
    "bot": """
    IF found_row.retired IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'TF002', MESSAGE = 'lease ' || lease_name || ': the bot is deleted';
    END IF;""",
    "gateway": "",
    "lease": "",
}

# A bot's row is its UID's own. The others outlive the resource that they belong to: one that is made again under the
# same name begins with generation 1, and what is left of the one before must not win against it.
_REFUSE_RETIRED_OWNER = """
    IF EXISTS (SELECT FROM tradefleet.retired_owner WHERE fleet = of_fleet AND uid = new_owner) THEN
        RAISE EXCEPTION USING ERRCODE = 'TF002',
            MESSAGE = 'lease ' || lease_name || ': the resource with UID ' || new_owner || ' is deleted';
    END IF;"""
_OWNED = ("gateway", "lease")


def _acquire(kind: str) -> Routine:
    """Return the function that takes the next epoch of a row in the table of `kind`.

    It returns the epoch, and whether the one before was another holder's, who has not given it back.
    """
    table, key, condition = _LEASE_TABLES[kind]
    is_owned = kind in _OWNED
    return Routine(
        signature=f"tradefleet.acquire_{kind}(text, text, text, text, text, text, text, bigint, bigint)",
        statement=f"""
CREATE OR REPLACE FUNCTION tradefleet.acquire_{kind}(
    of_fleet text, lease_name text, of_kind text, of_key text, row_key text,
    new_holder text, new_owner text, new_generation bigint, ttl_us bigint, OUT new_epoch bigint, OUT took_over boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_row tradefleet.{table};
BEGIN
    IF of_kind NOT IN {_KINDS[kind]} OR NOT tradefleet.may_lease(of_fleet, of_kind, row_key) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'lease ' || lease_name || ': role ' || session_user || ' may not take it';
    END IF;
    IF NOT EXISTS (SELECT FROM tradefleet.{table} WHERE fleet = of_fleet AND {key} = row_key) THEN{_FIRST_LEASE[kind]}
    END IF;
    SELECT * INTO found_row FROM tradefleet.{table} WHERE fleet = of_fleet AND {key} = row_key{condition} FOR UPDATE;
    took_over := found_row.holder NOT IN ('', new_holder);{_REFUSE_RETIRED_OWNER if is_owned else ""}
    UPDATE tradefleet.{table}
    SET epoch = epoch + 1, holder = new_holder, generation = new_generation,{" owner = new_owner," if is_owned else ""}
        lease_until_us = tradefleet.now_us() + ttl_us
    WHERE fleet = of_fleet AND {key} = row_key
        AND (generation <= new_generation{" OR owner <> new_owner" if is_owned else ""})
        AND (holder IN ('', new_holder) OR lease_until_us <= tradefleet.now_us()){condition}
    RETURNING epoch INTO new_epoch;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO found_row FROM tradefleet.{table} WHERE fleet = of_fleet AND {key} = row_key;{_RETIRED[kind]}
    IF found_row.generation > new_generation{" AND found_row.owner = new_owner" if is_owned else ""} THEN
        RAISE EXCEPTION USING ERRCODE = 'TF002', MESSAGE = 'lease ' || lease_name || ': generation '
            || new_generation || ' is older than the row''s ' || found_row.generation;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'TF001', MESSAGE = 'lease ' || lease_name || ': ' || found_row.holder
        || ' holds it for another ' || found_row.lease_until_us - tradefleet.now_us() || ' us';
END $$""",  # noqa: S608 - table and column names from the constants above
        callers=frozenset({"holder"} if kind == "bot" else {"gateway"} if kind == "gateway" else {"feed", "venue"}),
    )


def _prolong(kind: str) -> Routine:
    """Return the function that renews (ttl_us > 0) or releases (0) a lease and says which epoch is the newest.

    It returns our epoch when that was done, else the newest epoch, or 0 when ours was released.
    """
    table, key, condition = _LEASE_TABLES[kind]
    return Routine(
        signature=f"tradefleet.prolong_{kind}(text, text, text, bigint, bigint)",
        statement=f"""
CREATE OR REPLACE FUNCTION tradefleet.prolong_{kind}(
    of_fleet text, of_kind text, row_key text, own_epoch bigint, ttl_us bigint
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest bigint;
BEGIN
    IF of_kind NOT IN {_KINDS[kind]} OR NOT tradefleet.may_lease(of_fleet, of_kind, row_key) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'lease of ' || of_kind || ' ' || row_key || ': role ' || session_user || ' may not touch it';
    END IF;
    UPDATE tradefleet.{table}
    SET lease_until_us = CASE WHEN ttl_us > 0 THEN tradefleet.now_us() + ttl_us ELSE 0 END,
        holder = CASE WHEN ttl_us > 0 THEN holder ELSE '' END
    WHERE fleet = of_fleet AND {key} = row_key AND epoch = own_epoch AND holder <> ''{condition}
    RETURNING epoch INTO newest;
    IF FOUND THEN
        RETURN newest;
    END IF;
    SELECT epoch INTO newest FROM tradefleet.{table} WHERE fleet = of_fleet AND {key} = row_key;
    RETURN CASE WHEN newest = own_epoch THEN 0 ELSE coalesce(newest, 0) END;
END $$""",  # noqa: S608 - table and column names from the constants above
        callers=frozenset({"holder"} if kind == "bot" else {"gateway"} if kind == "gateway" else {"feed", "venue"}),
    )


ROUTINES: tuple[Routine, ...] = (
    NOW_US,
    REQUIRE,
    LOGIN_FLEET,
    OWN_UIDS,
    OWN_PARTICIPANTS,
    MAY_LEASE,
    *(_acquire(kind) for kind in _LEASE_TABLES),
    *(_prolong(kind) for kind in _LEASE_TABLES),
)

VIEWS: dict[str, str] = {
    "asset_scale": """
SELECT DISTINCT fleet, exchange, base AS asset, base_scale AS scale FROM tradefleet.instrument
UNION SELECT DISTINCT fleet, exchange, quote, quote_scale FROM tradefleet.instrument""",
    "readable_posting": """
SELECT posting.fleet, entry.account, entry.bot, posting.uid, posting.seq, posting.line, entry.kind, entry.reference,
    to_timestamp(entry.market_us / 1000000.0) AS market_time, posting.book, posting.asset,
    posting.atoms, posting.atoms * power(10::numeric, -scale.scale) AS amount
FROM tradefleet.posting
JOIN tradefleet.ledger_entry AS entry USING (fleet, uid, seq)
LEFT JOIN tradefleet.asset_scale AS scale ON scale.fleet = posting.fleet AND scale.asset = posting.asset
    AND scale.exchange = split_part(entry.account, ':', 1)""",
    "readable_fill": """
SELECT fill.fleet, fill.account, fill.bot, fill.number, fill.trade_id, fill.symbol, fill.side,
    to_timestamp(fill.market_us / 1000000.0) AS market_time,
    fill.price_ticks * instrument.tick AS price, fill.lots * instrument.lot AS size,
    fill.fee_atoms * power(10::numeric, -scale.scale) AS fee, fill.fee_asset
FROM tradefleet.fill
LEFT JOIN tradefleet.instrument ON instrument.fleet = fill.fleet AND instrument.symbol = fill.symbol
    AND instrument.exchange = split_part(fill.account, ':', 1)
LEFT JOIN tradefleet.asset_scale AS scale ON scale.fleet = fill.fleet AND scale.asset = fill.fee_asset
    AND scale.exchange = split_part(fill.account, ':', 1)""",
    "readable_order": """
SELECT orders.fleet, orders.account, orders.bot, orders.client_order_id, orders.symbol, orders.side, orders.type,
    orders.status, orders.reason, orders.lots * instrument.lot AS size, orders.filled_lots * instrument.lot AS filled,
    orders.price_ticks * instrument.tick AS price, orders.trigger_ticks * instrument.tick AS trigger,
    to_timestamp(orders.created_us / 1000000.0) AS created, to_timestamp(orders.updated_us / 1000000.0) AS updated
FROM tradefleet.trade_order AS orders
LEFT JOIN tradefleet.instrument ON instrument.fleet = orders.fleet AND instrument.symbol = orders.symbol
    AND instrument.exchange = split_part(orders.account, ':', 1)""",
}
