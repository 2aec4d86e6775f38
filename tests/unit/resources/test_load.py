import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.unit.resources.cases import BOT, EXCHANGE, SQL, changed
from tests.unit.resources.generated import resources
from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import Resource
from tradefleet.resources.documents import write_yaml
from tradefleet.resources.load import dump, load, parse_body, parse_text
from tradefleet.resources.problems import InvalidResource


def refusal_of(text: str) -> str:
    with pytest.raises(InvalidResource) as caught:
        parse_text(text, "bots.yaml")
    return str(caught.value)


@given(resources())
@settings(max_examples=150, deadline=None)
def test_every_resource_survives_being_dumped_and_loaded(resource: Resource):
    for output in ("yaml", "json"):
        (loaded,) = parse_text(dump([resource], output), "dumped")
        assert loaded.resource == resource
        assert loaded.resource.digest() == resource.digest()


def test_several_resources_are_dumped_as_documents_or_as_a_list_and_loaded_again():
    fleet = [parse_body(EXCHANGE), parse_body(BOT)]
    for output in ("yaml", "json"):
        assert [each.resource for each in parse_text(dump(fleet, output), "dumped")] == fleet
    assert json.loads(dump(fleet, "json"))["kind"] == "List"


def test_a_dump_looks_as_kubectl_shows_it():
    lines = dump([parse_body(changed(BOT, metadata__labels={"a": "1"}))]).splitlines()
    assert lines[:7] == [
        "apiVersion: tradefleet.dev/v1alpha1",
        "kind: TradingBot",
        "metadata:",
        "  name: trend",
        "  namespace: default",
        "  labels:",
        "    a: '1'",
    ]
    assert "    USD: '10000'" in lines
    assert "status:" not in lines


def test_an_error_names_file_line_document_field_rule_value_and_remedy():
    text = write_yaml([EXCHANGE, changed(BOT, spec__state="Runing")])
    line = text.splitlines().index("  state: Runing") + 1
    assert refusal_of(text) == (
        f"bots.yaml:{line} (document 2): TradingBot trend: spec.state: must be Running or Paused or Stopped, found "
        '"Runing"; did you mean Running?'
    )


def test_all_errors_of_all_files_are_found_at_once(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(write_yaml([changed(BOT, spec__interval="x"), changed(BOT, spec__seed=-1)]))
    (tmp_path / "b.yml").write_text("a: [1,\n")
    (tmp_path / "c.json").write_text(json.dumps(changed(EXCHANGE, spec__venu="x", spec__suspend=3)))
    with pytest.raises(InvalidResource) as caught:
        load([tmp_path, tmp_path / "missing.yaml"])
    places = {(Path(each.place.file).name, each.path[-1:]) for each in caught.value.problems if each.place}
    assert places == {
        ("a.yaml", ("interval",)),
        ("a.yaml", ("seed",)),
        ("b.yml", ()),
        ("c.json", ("venu",)),
        ("c.json", ("suspend",)),
        ("missing.yaml", ()),
    }
    assert isinstance(caught.value, Permanent)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**BOT, "kind": "TradeBot"}, 'kind: is not a kind of resource, found "TradeBot"; did you mean TradingBot?'),
        ({**BOT, "kind": "Zebra"}, "known are: Exchange, Dataset, Feed"),
        ({**BOT, "kind": "Secret", "apiVersion": "v1"}, "keep other objects in files of their own"),
        ({**BOT, "apiVersion": "tradefleet.dev/v2"}, "apiVersion: must be tradefleet.dev/v1alpha1, found"),
        ({"kind": "TradingBot", "metadata": {"name": "x"}}, "apiVersion: is required: tradefleet.dev/v1alpha1"),
        ({"metadata": {"name": "x"}}, "kind: is required"),
        (changed(BOT, spec__instrument=["BTC-USD"]), "did you mean instruments?"),
        (changed(BOT, spec__sizing={"metod": "fixed"}), "spec.sizing.metod: is not a field here; did you mean method?"),
        (changed(BOT, spec__zebra=1), "known are: "),
    ],
)
def test_what_is_not_known_is_answered_with_what_is(body: dict[str, object], message: str):
    assert message in refusal_of(write_yaml([body]))


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "5\n"])
def test_a_document_that_is_no_mapping_is_refused(text: str):
    assert "is not a resource" in refusal_of(text)


def test_a_wrong_version_does_not_hide_the_other_problems():
    refusal = refusal_of(write_yaml([{**changed(BOT, spec__seed=-1), "apiVersion": "v2"}]))
    assert "apiVersion: must be" in refusal
    assert "spec.seed: must be at least 0" in refusal


def test_a_required_field_is_explained():
    text = write_yaml([changed(BOT, spec__exchangeRef={})])
    assert "spec.exchangeRef.name: is required; Name of a resource" in refusal_of(text)


def test_a_password_is_never_shown():
    in_place = refusal_of(write_yaml([changed(SQL, spec__sql__0__url="postgresql://me:secret@db/prices")]))
    as_variable = refusal_of(write_yaml([changed(SQL, spec__sql__0__urlFrom={"env": "postgresql://me:secret@db/x"})]))
    assert "spec.sql[0].url: is not a field here" in in_place
    assert "secret" not in in_place.replace("secretKeyRef", "")
    assert 'found "postgresql://***@db/x"' in as_variable


def test_the_same_name_twice_is_refused_with_both_places(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(write_yaml([EXCHANGE, BOT]))
    (tmp_path / "b.yaml").write_text(write_yaml([changed(BOT, spec__seed=3)]))
    with pytest.raises(InvalidResource) as caught:
        load([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    (problem,) = caught.value.problems
    assert str(problem.place).endswith("b.yaml:4 (document 1)")
    assert "is there twice, first at" in problem.message
    assert "a.yaml:" in problem.message


def test_the_same_name_in_another_namespace_is_another_resource():
    text = write_yaml([BOT, changed(BOT, metadata__namespace="other")])
    loaded = load(["-"], stdin=io.StringIO(text))
    assert [each.resource.key.namespace for each in loaded] == ["default", "other"]


def test_a_folder_gives_its_files_in_order_without_what_belongs_to_others(tmp_path: Path):
    (tmp_path / "deeper").mkdir()
    (tmp_path / "b.yaml").write_text(write_yaml([BOT]))
    (tmp_path / "a.json").write_text(json.dumps(EXCHANGE))
    (tmp_path / "notes.txt").write_text("not a resource")
    (tmp_path / "kustomization.yaml").write_text("resources: [b.yaml]\n")
    (tmp_path / "deeper" / "c.yml").write_text(write_yaml([changed(BOT, metadata__name="deep")]))
    names = [each.resource.metadata.name for each in load([tmp_path])]
    deep = [each.resource.metadata.name for each in load([tmp_path], recursive=True)]
    assert names == ["simulator", "trend"]
    assert sorted(deep) == ["deep", "simulator", "trend"]


def test_standard_input_is_read_for_a_dash():
    (loaded,) = load(["-"], stdin=io.StringIO(write_yaml([BOT])))
    assert loaded.resource == parse_body(BOT)
    assert str(loaded.place(("spec", "wallet", "USD"))).startswith("<stdin>:")
    assert loaded.folder == Path.cwd()


def test_a_resource_knows_its_place_and_folder(tmp_path: Path):
    file = tmp_path / "bots.yaml"
    file.write_text("# a comment\n" + write_yaml([BOT]))
    (loaded,) = load([file])
    assert loaded.folder == tmp_path
    assert file.read_text().splitlines()[loaded.place(("spec", "wallet", "USD")).line - 1] == "    USD: '10000'"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "is not text in UTF-8"), (b"", None), (b"\xef\xbb\xbf# only a comment\n", None)],
)
def test_a_file_is_text_and_an_empty_one_holds_nothing(tmp_path: Path, content: bytes, message: str | None):
    file = tmp_path / "bots.yaml"
    file.write_bytes(content)
    if message is None:
        assert load([file]) == []
        return
    with pytest.raises(InvalidResource, match=message):
        load([file])


def test_a_folder_without_resources_is_refused(tmp_path: Path):
    with pytest.raises(InvalidResource, match="has no file that ends in"):
        load([tmp_path])
