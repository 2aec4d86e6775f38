"""Lockstep runs, datasets and the results of backtests."""

from sqlalchemy import Boolean, Column, Index, Numeric, Table, Text, text

from tradefleet.store.tables.columns import document, fleet, metadata, name, number, optional_number, payload

runs = Table(
    "run",
    metadata,
    fleet(),
    name("run", key=True),
    name("feed"),
    number("created_us"),
    document("terms"),
    comment="Lockstep runs; `terms` is what their exchange was when they began, which holds until they end.",
)

run_participants = Table("run_participant", metadata, fleet(), name("run", key=True), name("participant", key=True))

progress = Table(
    "progress",
    metadata,
    fleet(),
    name("run", key=True),
    number("market_us", key=True),
    number("round", key=True),
    number("phase", key=True),
    name("participant", key=True),
    document("produced"),
    optional_number("next_due_us"),
    Column("has_left", Boolean, nullable=False, server_default=text("false")),
    comment="What each participant of a lockstep run did in each phase; the key is the order of steps.",
)

datasets = Table(
    "dataset",
    metadata,
    fleet(),
    name("dataset", key=True),
    name("exchange"),
    number("created_us"),
    Column("is_synthetic", Boolean, nullable=False, server_default=text("false")),
    comment="A named part of the stored bars of one exchange.",
)

dataset_imports = Table(
    "dataset_import",
    metadata,
    fleet(),
    name("dataset", key=True),
    name("source_hash", key=True),
    name("source"),
    number("bars"),
    number("imported_us"),
    comment="Files that were imported whole: the same content is never imported again.",
)

dataset_coverages = Table(
    "dataset_coverage",
    metadata,
    fleet(),
    name("dataset", key=True),
    name("symbol", key=True),
    number("interval_us", key=True),
    number("first_open_us", key=True),
    number("last_open_us"),
    number("bars"),
    comment="Stretches without a gap.",
)

backtest_runs = Table(
    "backtest_run",
    metadata,
    fleet(),
    name("uid", key=True),
    name("question", key=True),
    name("backtest"),
    number("generation"),
    number("trials"),
    Column("db_role", Text(collation="C"), nullable=False, server_default=text("''")),
    number("asked_us"),
    document("inputs"),
    Index(None, "db_role"),
    comment="What a Backtest asked, and how many trials that took: kept for good, since luck grows with their number. "
    "db_role: the one log-in that may add their results; asked_us: when it was asked last.",
)

backtest_results = Table(
    "backtest_result",
    metadata,
    fleet(),
    name("uid", key=True),
    name("question", key=True),
    number("trial", key=True),
    document("parameters"),
    Column("score", Numeric, nullable=True),
    Column("vs_hold", Numeric, nullable=True),
    name("quote"),
    name("bot"),
    name("error"),
    name("dataset_hash"),
    name("ledger_hash"),
    Column("is_synthetic", Boolean, nullable=False),
    number("started_us"),
    number("finished_us"),
    document("figures"),
    payload("report", default=True),
    Index("backtest_result_best_idx", "fleet", "uid", "question", text("score DESC NULLS LAST"), "trial"),
    comment="One row per trial, added once: its figures, or the error that ended it. report: a page, as zlib packs "
    "it, of a run that is no part of a search.",
)
