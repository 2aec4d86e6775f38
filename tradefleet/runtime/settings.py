"""Settings of a process: a frozen class each, read once from a file and the environment.

`load_settings` reads what a workload is told (a JSON or YAML file). `ProcessSettings` is what every process needs to
reach its fleet; it comes from the environment, `TRADEFLEET_` and the field's name, because there a pod's secrets are.
A secret is a value in the environment or, with `_FILE` behind the name, the path of a file; it is never shown.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from tradefleet.domain.errors import Permanent

PREFIX: Final = "TRADEFLEET_"
FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # a replay of thousands of bots; more is a mistake
_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`(?: - at `\$(?P<path>[^`]*)`)?")
_AT_PATH: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")

T = TypeVar("T", bound=msgspec.Struct)


class InvalidSettings(Permanent):
    """Settings that cannot be used; the message names the file or variable, the field, the rule and what was found."""


class Secret:
    """A value that must not be shown. `reveal` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value, for the library that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def load_settings(kind: type[T], path: Path) -> T:
    """Return the settings in a JSON or YAML file. Unknown fields are refused, the likely one is named.

    Raises InvalidSettings.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidSettings(f"settings file {path}: cannot be read: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise InvalidSettings(f"settings file {path}: {len(data)} bytes, at most {FILE_BYTES_MAX} are allowed")
    try:
        if path.suffix in (".yaml", ".yml"):
            return msgspec.yaml.decode(data, type=kind)
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"settings file {path}: {_explain(error, kind)}") from error


def _explain(error: Exception, kind: type[msgspec.Struct]) -> str:
    text = str(error)
    unknown = _UNKNOWN_FIELD.search(text)
    if unknown is None:
        place = _AT_PATH.search(text)
        return f"field {place['path']}: {_AT_PATH.sub('', text)}" if place and place["path"] else text
    path = (unknown["path"] or "").lstrip(".")
    where = f"{path}.{unknown['field']}" if path else unknown["field"]
    return f"there is no field {where}{_did_you_mean(unknown['field'], _field_names(kind))}"


def _field_names(kind: type[msgspec.Struct]) -> set[str]:
    """Return the names of all fields of a class and of the classes inside it."""
    names: set[str] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(kind)]
    seen: set[type] = set()
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            names.update(field.encode_name for field in info.fields)
            waiting += [field.type for field in info.fields]
        for inner in ("item_type", "value_type"):
            if hasattr(info, inner):
                waiting.append(getattr(info, inner))
        waiting += getattr(info, "types", ())
    return names


def _did_you_mean(found: str, known: set[str] | frozenset[str]) -> str:
    import difflib  # noqa: PLC0415 - only a mistake needs it

    close = difflib.get_close_matches(found, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"


class ProcessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every process of a fleet needs to reach the others. Each field is a variable `TRADEFLEET_…`."""

    fleet: str  # id of the fleet, in every row and channel
    component: str  # what this process is, such as bot/default/alpha
    holder: str  # who holds leases: the pod's UID, or the supervisor's slot
    database_url: Secret
    kafka_bootstrap: str  # host:port, several separated by commas
    kafka_prefix: str = ""
    kafka_security: Secret | None = None  # further librdkafka settings (TLS, SASL) as a JSON object
    schema_registry_url: Secret | None = None  # messages then go in the Confluent wire format
    health_host: str = "127.0.0.1"
    health_port: int | None = None  # None serves no health, 0 takes a free port
    log_level: str = "INFO"
    log_format: str = "auto"  # json, text, or auto: text on a terminal
    step_timeout_ms: int = 200  # how long one step of the loop may wait for input
    outage_bound_ms: int = 60_000  # a broker, database or loop gone for longer costs the process its liveness
    last_words_path: str | None = None  # where the reason for ending is written, for who shows it as a status

    def security(self) -> dict[str, str]:
        """Return the librdkafka settings in `kafka_security`. Raises InvalidSettings without showing them."""
        return read_security(self.kafka_security)


def read_security(secret: Secret | None) -> dict[str, str]:
    """Return librdkafka settings (TLS, SASL) from their JSON. Raises InvalidSettings without showing them."""
    if secret is None:
        return {}
    try:
        return msgspec.json.decode(secret.reveal(), type=dict[str, str])
    except msgspec.DecodeError:
        # Without the cause: its message could show a part of the secret.
        raise InvalidSettings(f"{PREFIX}KAFKA_SECURITY must be a JSON object of strings") from None


_SECRETS: Final = frozenset({"database_url", "kafka_security", "schema_registry_url"})
_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_LOG_FORMATS: Final = ("auto", "json", "text")


def process_settings(environment: Mapping[str, str]) -> ProcessSettings:
    """Return what the environment says. A variable that looks like a misspelt one of ours is refused.

    Raises InvalidSettings, naming the variable.
    """
    fields = {field.name for field in msgspec.structs.fields(ProcessSettings)}
    variables = {PREFIX + name.upper() for name in fields} | {f"{PREFIX}{name.upper()}_FILE" for name in _SECRETS}
    _refuse_misspelt(environment, variables)
    values: dict[str, Any] = {}
    for name in fields:
        value = read_secret(environment, name) if name in _SECRETS else environment.get(PREFIX + name.upper())
        if value is not None:
            values[name] = value
    for field in msgspec.structs.fields(ProcessSettings):
        if field.required and field.name not in values:
            raise InvalidSettings(f"environment variable {PREFIX}{field.name.upper()} is not set")
    try:
        settings = msgspec.convert(values, ProcessSettings, strict=False)
    except msgspec.ValidationError as error:
        place = _AT_PATH.search(str(error))
        variable = PREFIX + place["path"].upper() if place else PREFIX
        raise InvalidSettings(f"environment variable {variable}: {_AT_PATH.sub('', str(error))}") from error
    _check_choice("LOG_LEVEL", settings.log_level, _LOG_LEVELS)
    _check_choice("LOG_FORMAT", settings.log_format, _LOG_FORMATS)
    return settings


def _check_choice(variable: str, found: str, choices: tuple[str, ...]) -> None:
    if found not in choices:
        raise InvalidSettings(f"environment variable {PREFIX}{variable} must be one of {', '.join(choices)}: {found!r}")


def _refuse_misspelt(environment: Mapping[str, str], known: set[str]) -> None:
    """Refuse names that are close to ours. Others may be anybody's: a process inherits its user's environment."""
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            import difflib  # noqa: PLC0415 - only a name that is not ours needs it

            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.85)
            if close:
                raise InvalidSettings(f"environment variable {name} is unknown; did you mean {close[0]}?")


def read_secret(environment: Mapping[str, str], name: str) -> Secret | None:
    """Return the secret in the variable of `name`, or in the file that its `_FILE` names. Raises InvalidSettings."""
    variable = PREFIX + name.upper()
    path = environment.get(f"{variable}_FILE")
    value = environment.get(variable)
    if path is not None and value is not None:
        raise InvalidSettings(f"environment variables {variable} and {variable}_FILE are both set: keep one")
    if path is not None:
        try:
            value = Path(path).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise InvalidSettings(f"environment variable {variable}_FILE: {path} cannot be read: {reason}") from error
    return None if value is None else Secret(value)
