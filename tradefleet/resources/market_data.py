"""Where market data comes from: files, the user's own database, or a seeded generator. Used by Dataset and Feed."""

from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from tradefleet.resources.common import ConfigMapReference
from tradefleet.resources.model import Model, rule
from tradefleet.resources.values import (
    INTEGER_MAX,
    EnvironmentName,
    Instant,
    InstrumentSymbol,
    Interval,
    KubernetesName,
    PositiveAmount,
    SignedPercent,
    VolatilityPercent,
    Whole,
)

BARS_MAX = 10_000_000  # of one synthetic instrument: nineteen years of minutes
SYNTHETIC_INSTRUMENTS_MAX = 64
FILE_SUFFIXES = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}


class FileFormat(StrEnum):
    """How candles lie in a file."""

    CSV = "csv"
    PARQUET = "parquet"


class TimeUnit(StrEnum):
    """How the open time of a bar is written."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"
    TEXT = "iso8601"


class CandleColumns(Model):
    """Which column holds what."""

    open_time: str = Field(
        default="open_time", min_length=1, max_length=200, description="Column with the time at which the bar opens."
    )
    open: str = Field(default="open", min_length=1, max_length=200, description="Column with the first price.")
    high: str = Field(default="high", min_length=1, max_length=200, description="Column with the highest price.")
    low: str = Field(default="low", min_length=1, max_length=200, description="Column with the lowest price.")
    close: str = Field(default="close", min_length=1, max_length=200, description="Column with the last price.")
    volume: str = Field(
        default="volume", min_length=1, max_length=200, description="Column with the volume in the base asset."
    )


class FileSource(Model):
    """A file of candles of one instrument."""

    path: str = Field(
        min_length=1,
        max_length=1000,
        description="Path of the file. In a local fleet, relative to the folder of the YAML file that names it; in a "
        "cluster, relative to the Dataset's volume.",
    )
    instrument: InstrumentSymbol = Field(description="The instrument whose candles these are: BTC-USD.")
    interval: Interval = Field(default="1m", description="Length of each bar in the file.")
    format: FileFormat | None = Field(
        default=None, strict=False, description="csv (also .csv.gz) or parquet. Default: from the end of the name."
    )
    columns: CandleColumns = Field(default=CandleColumns(), description="Names of the columns, where they differ.")
    time_unit: TimeUnit = Field(
        default=TimeUnit.MILLISECONDS,
        strict=False,
        description="Unit of the open time since 1970 UTC: s, ms, us, ns; or iso8601 for text.",
    )

    @rule(
        cel="has(self.format) || self.path.matches('[.](csv|csv[.]gz|parquet)$')",
        message="the name of the file does not say its format (.csv, .csv.gz, .parquet): set format",
        field="format",
    )
    def _format_is_known(self) -> bool:
        return self.format is not None or self._format_of_name() is not None

    @property
    def file_format(self) -> FileFormat:
        """The format that is said, or that the file's name ends in."""
        known = self.format or self._format_of_name()
        assert known is not None, "a rule of this model makes sure of it"
        return known

    def _format_of_name(self) -> FileFormat | None:
        return next((FileFormat(kind) for suffix, kind in FILE_SUFFIXES.items() if self.path.endswith(suffix)), None)


class DataVolume(Model):
    """A volume with files of candles, which pods mount to read them."""

    claim_name: KubernetesName | None = Field(
        default=None,
        description="A PersistentVolumeClaim in the same namespace. Each pod that reads the data mounts it, so a claim "
        "that one node alone can have (ReadWriteOnce) binds them to that node.",
    )
    config_map_ref: ConfigMapReference | None = Field(
        default=None, description="A ConfigMap whose entries are the files, for small ones: it holds 1 MiB at most."
    )

    @rule(
        cel="has(self.claimName) != has(self.configMapRef)",
        message="a volume is a claim or a ConfigMap: give exactly one of claimName and configMapRef",
    )
    def _one_volume(self) -> bool:
        return (self.claim_name is None) != (self.config_map_ref is None)


class SecretKey(Model):
    """One entry of a Secret."""

    name: KubernetesName = Field(description="Name of a Secret in the same namespace.")
    key: str = Field(min_length=1, max_length=253, description="Key of the entry in the Secret.")


class DatabaseUrlSource(Model):
    """Where the address of a database is found; it holds a password, so it never stands in a resource itself."""

    env: EnvironmentName | None = Field(
        default=None, description="Environment variable with the URL, such as PRICES_DATABASE_URL; for a local fleet."
    )
    secret_key_ref: SecretKey | None = Field(default=None, description="Entry of a Secret with the URL; for a cluster.")

    @rule(
        cel="has(self.env) != has(self.secretKeyRef)",
        message="the database's URL comes from env or from secretKeyRef: give exactly one",
    )
    def _one_source(self) -> bool:
        return (self.env is None) != (self.secret_key_ref is None)


class SqlSource(Model):
    """Candles from the user's own database, read by a query of the user's own."""

    url_from: DatabaseUrlSource = Field(
        description="Where the database's URL is found. Any URL of SQLAlchemy whose driver is installed."
    )
    query: str = Field(
        min_length=1,
        max_length=20_000,
        description="SELECT that gives one row per bar. It is run as it stands, by a login that should only read.",
    )
    instrument: InstrumentSymbol = Field(description="The instrument whose candles the query gives: BTC-USD.")
    interval: Interval = Field(default="1m", description="Length of each bar that the query gives.")
    columns: CandleColumns = Field(default=CandleColumns(), description="Names of the columns, where they differ.")
    time_unit: TimeUnit = Field(
        default=TimeUnit.MILLISECONDS,
        strict=False,
        description="Unit of the open time since 1970 UTC: s, ms, us, ns; or iso8601 for text and timestamps.",
    )


class SyntheticSource(Model):
    """Candles from a seeded random walk: for trying things out, labelled as synthetic wherever they show."""

    seed: Whole = Field(default=1, ge=0, le=INTEGER_MAX, description="The same seed gives the same candles, for ever.")
    start: Instant = Field(default="2024-01-01", description="Open time of the first bar, UTC.")
    bars: Whole = Field(default=1440, ge=1, le=BARS_MAX, description="Number of bars of each instrument.")
    start_prices: dict[InstrumentSymbol, PositiveAmount] = Field(
        default={},
        max_length=SYNTHETIC_INSTRUMENTS_MAX,
        description='First price of an instrument, such as BTC-USD: "40000". Default: "100".',
    )
    annual_volatility_percent: VolatilityPercent = Field(
        default=Decimal(60), description="How much prices move in a year, standard deviation of the log return."
    )
    annual_drift_percent: SignedPercent = Field(
        default=Decimal(0), description="Where prices go in a year on average; below 0 is down."
    )
