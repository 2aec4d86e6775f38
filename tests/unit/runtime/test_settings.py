"""Settings from files and from the environment."""

from pathlib import Path

import msgspec
import pytest

from tradefleet.runtime.settings import (
    InvalidSettings,
    ProcessSettings,
    Secret,
    load_settings,
    process_settings,
)

ENVIRONMENT = {
    "TRADEFLEET_FLEET": "f1",
    "TRADEFLEET_COMPONENT": "bot/default/alpha",
    "TRADEFLEET_HOLDER": "slot-1",
    "TRADEFLEET_DATABASE_URL": "postgresql://bot:hunter2@127.0.0.1/f1",
    "TRADEFLEET_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "PATH": "/bin",
}


class Leg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    symbol: str
    interval_us: int


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    generation: int
    legs: tuple[Leg, ...] = ()


def settings_file(folder: Path, text: str, name: str = "settings.json") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_json_file_is_read(tmp_path: Path) -> None:
    path = settings_file(tmp_path, '{"generation": 3, "legs": [{"symbol": "BTC-USD", "interval_us": 60000000}]}')
    assert load_settings(Example, path) == Example(generation=3, legs=(Leg(symbol="BTC-USD", interval_us=60_000_000),))


def test_a_yaml_file_is_read(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "generation: 3\nlegs:\n- {symbol: BTC-USD, interval_us: 1}\n", "settings.yaml")
    assert load_settings(Example, path) == Example(generation=3, legs=(Leg(symbol="BTC-USD", interval_us=1),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"generatoin": 3}', "there is no field generatoin; did you mean generation"),
        (
            '{"generation": 3, "legs": [{"symbol": "B", "intervall_us": 1}]}',
            r"no field legs\[0\].intervall_us; did you mean interval_us",
        ),
        ('{"generation": 3, "xyzzy": 1}', "there is no field xyzzy; there are generation, interval_us, legs, symbol"),
        ('{"generation": "three"}', "field generation: Expected `int`, got `str`"),
        ('{"legs": []}', "missing required field `generation`"),
        ("{", "Input data was truncated"),
        ("\xff", "malformed"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_field(tmp_path: Path, text: str, message: str) -> None:
    path = settings_file(tmp_path, text)
    with pytest.raises(InvalidSettings, match=rf"settings file .*settings\.json: .*{message}"):
        load_settings(Example, path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"absent\.json: cannot be read: No such file"):
        load_settings(Example, tmp_path / "absent.json")


def test_the_environment_makes_process_settings() -> None:
    settings = process_settings(ENVIRONMENT | {"TRADEFLEET_HEALTH_PORT": "0", "TRADEFLEET_OUTAGE_BOUND_MS": "5000"})
    assert (settings.fleet, settings.component, settings.kafka_bootstrap) == (
        "f1",
        "bot/default/alpha",
        "127.0.0.1:9092",
    )
    assert (settings.health_port, settings.outage_bound_ms, settings.log_format) == (0, 5_000, "auto")
    assert settings.database_url.reveal() == ENVIRONMENT["TRADEFLEET_DATABASE_URL"]
    assert settings.security() == {}


@pytest.mark.parametrize(
    "name",
    [
        "TRADEFLEET_FLEET",
        "TRADEFLEET_COMPONENT",
        "TRADEFLEET_HOLDER",
        "TRADEFLEET_DATABASE_URL",
        "TRADEFLEET_KAFKA_BOOTSTRAP",
    ],
)
def test_a_variable_that_is_needed_is_named_when_it_is_missing(name: str) -> None:
    with pytest.raises(InvalidSettings, match=f"environment variable {name} is not set"):
        process_settings({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TRADEFLEET_KAFKA_PREFX": "a."}, "TRADEFLEET_KAFKA_PREFX is unknown; did you mean TRADEFLEET_KAFKA_PREFIX"),
        ({"TRADEFLEET_HEALTH_PORT": "http"}, "TRADEFLEET_HEALTH_PORT: Expected `int | null`"),
        ({"TRADEFLEET_LOG_LEVEL": "LOUD"}, "TRADEFLEET_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR: 'LOUD'"),
        ({"TRADEFLEET_LOG_FORMAT": "xml"}, "TRADEFLEET_LOG_FORMAT must be one of auto, json, text: 'xml'"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        process_settings(ENVIRONMENT | changes)


def test_variables_that_are_not_ours_pass() -> None:
    process_settings(ENVIRONMENT | {"TRADEFLEET_MAVEN_REPOSITORY": "https://mirror.example"})


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "postgresql://bot:s3cret@db/f1\n", "url")
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "TRADEFLEET_DATABASE_URL"}
    settings = process_settings(environment | {"TRADEFLEET_DATABASE_URL_FILE": str(path)})
    assert settings.database_url.reveal() == "postgresql://bot:s3cret@db/f1"


def test_a_secret_given_twice_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="are both set: keep one"):
        process_settings(ENVIRONMENT | {"TRADEFLEET_DATABASE_URL_FILE": "/nowhere"})


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "TRADEFLEET_DATABASE_URL"}
    with pytest.raises(InvalidSettings, match=r"TRADEFLEET_DATABASE_URL_FILE: .* cannot be read: No such file"):
        process_settings(environment | {"TRADEFLEET_DATABASE_URL_FILE": str(tmp_path / "absent")})


def test_secrets_are_never_shown() -> None:
    settings = process_settings(ENVIRONMENT | {"TRADEFLEET_KAFKA_SECURITY": '{"sasl.password": "hunter2"}'})
    assert "hunter2" not in repr(settings) + str(settings) + f"{settings.database_url}"
    assert settings.security() == {"sasl.password": "hunter2"}


def test_a_broken_secret_is_refused_without_showing_it() -> None:
    settings = process_settings(ENVIRONMENT | {"TRADEFLEET_KAFKA_SECURITY": '{"sasl.password": hunter2}'})
    with pytest.raises(InvalidSettings, match="must be a JSON object of strings") as caught:
        settings.security()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


def test_every_setting_is_listed_with_its_unit() -> None:
    for field in msgspec.structs.fields(ProcessSettings):
        if field.type is int:
            assert field.name.endswith("_ms"), field.name
