from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tradefleet.resources.documents import DEPTH_MAX, TEXT_LENGTH_MAX, read_documents, write_yaml
from tradefleet.resources.problems import InvalidResource


def value_of(text: str) -> Any:
    (document,) = read_documents(text, "file.yaml")
    return document.value


def refusal_of(text: str) -> str:
    with pytest.raises(InvalidResource) as caught:
        read_documents(text, "file.yaml")
    return str(caught.value)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON_VALUES, min_size=1))
def test_what_is_written_is_read_back_alike(value: dict[str, Any]):
    assert value_of(write_yaml([value])) == value


@given(st.text(max_size=60))
@settings(max_examples=500)
def test_text_of_any_kind_is_read_or_refused_and_never_breaks_the_reader(text: str):
    try:
        read_documents(text, "file.yaml")
    except InvalidResource as error:
        assert str(error).startswith("file.yaml:")  # noqa: PT017 - both outcomes are right


@given(st.text(alphabet="{}[]:,&*!<>-? \n\"'|#%@a1", max_size=40))
@settings(max_examples=1000)
def test_yaml_like_noise_is_read_or_refused_and_never_breaks_the_reader(text: str):
    try:
        read_documents(text, "file.yaml")
    except InvalidResource as error:
        assert str(error).startswith("file.yaml:")  # noqa: PT017 - both outcomes are right


def test_plain_values_are_read_as_kubectl_reads_them():
    text = "[yes, Off, ~, 12, 1_000, 0x1F, 0o17, 010, 1.5, 1e3, .5, '1', !!str 2, 2018-04-04, 1:30, 60x, 1.2.3]"
    assert value_of(text) == [
        True,
        False,
        None,
        12,
        1000,
        31,
        15,
        8,
        1.5,
        1000.0,
        0.5,
        "1",
        "2",
        "2018-04-04",
        "1:30",
        "60x",
        "1.2.3",
    ]


def test_each_field_knows_its_line_and_document():
    first, second = read_documents("# a note\na:\n  b: 1\n  c:\n    - x\n    - y\n---\nd: 2\n", "file.yaml")
    assert first.line_of(("a", "b")) == 3
    assert first.line_of(("a", "c", 1)) == 6
    assert first.line_of(("a", "missing", "deeper")) == 2
    assert (second.number, second.line_of(("d",))) == (2, 8)


def test_empty_documents_are_left_out_but_counted():
    documents = read_documents("---\n# nothing\n---\na: 1\n---\n", "file.yaml")
    assert [(each.number, each.value) for each in documents] == [(2, {"a": 1})]


def test_merge_keys_add_what_the_mapping_does_not_say_itself():
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\n"
    text += "one:\n  b: 9\n  <<: *base\ntwo:\n  <<: [*base, *more]\n  a: 7\n"
    value = value_of(text)
    assert value["one"] == {"a": 1, "b": 9}
    assert value["two"] == {"a": 7, "b": 2, "c": 4}


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!binary", "!!timestamp", "!mine", "!!set"])
def test_a_tag_that_would_make_an_object_is_refused(tag: str):
    assert "only plain values are read" in refusal_of(f"a: {tag} x")


def test_anchors_that_multiply_are_refused_before_they_are_written_out():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert "values with its anchors written out" in refusal_of("\n".join(lines))


def test_depth_is_bounded_also_through_anchors():
    assert "nested deeper" in refusal_of("[" * 10_000)
    chain = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, DEPTH_MAX + 2))]
    assert "nested deeper" in refusal_of("\n".join(chain))


def test_a_file_too_large_is_refused():
    assert "split it into several files" in refusal_of("#" * (TEXT_LENGTH_MAX + 1))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the field a is there twice, first on line 1"),
        ("a:\n  - b: [1,\n", 3, "is not YAML"),
        ("a: 1\nb: *unknown\n", 2, "*unknown stands for nothing"),
        ("a: &a [*a]\n", 1, "*a stands for nothing"),
        ("a: 1\nb: .nan\n", 2, "is not a number that JSON knows"),
        ("a: 1e999\n", 1, "is not a number that JSON knows"),
        ("? [a]\n: 1\n", 1, "the name of a field must be text"),
        ("a:\n  <<: 5\n", 2, "<< merges mappings"),
        ("a: \x01\n", 1, "is not YAML"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, message: str):
    refusal = refusal_of(text)
    assert refusal.startswith(f"file.yaml:{line} ")
    assert message in refusal


def test_all_fields_that_are_there_twice_are_named():
    assert refusal_of("a: 1\na: 2\nb: 1\nb: 2\n").count("is there twice") == 2


@pytest.mark.parametrize("text", ["1e3", "y", "0o17", "10_000", "1:30", "~", "", "-", "<<", "=", "0x", "1.", "+1"])
def test_text_that_some_reader_takes_for_a_number_is_quoted(text: str):
    written = write_yaml([{"a": text}])
    assert value_of(written) == {"a": text}
    assert yaml.safe_load(written) == {"a": text}
