import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from governor.chart.generate import generate
from governor.chart.uninstall import PLURALS
from governor.chart.values import ChartValues, schema

from tradefleet.resources.kinds import KINDS

CHART = Path(__file__).parents[3] / "helm" / "tradefleet"
TEMPLATES = "\n".join(path.read_text() for path in sorted(CHART.glob("templates/**/*")) if path.is_file())


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Every path in a tree of values at which something is set."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}")
    else:
        yield path


def test_the_files_of_the_chart_are_those_that_the_types_make():
    root = CHART.parents[1]
    assert [path for path, text in generate().items() if (root / path).read_text() != text] == [], "run make generate"


def test_the_values_file_says_the_defaults_of_the_types():
    assert yaml.safe_load((CHART / "values.yaml").read_text()) == ChartValues().model_dump(by_alias=True)


def test_every_value_is_explained_where_it_is_not_obvious():
    lines = (CHART / "values.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z]\w*:$", line):
            about = [lines[number - 1], *lines[number + 1 : number + 5]]
            assert any("#" in each for each in about), line


def test_no_value_is_accepted_and_then_ignored():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    whole = ("resources", "labels", "dev.image")  # taken over as they are
    for path in leaves(values):
        above = [path[: match.start()] for match in re.finditer(r"\.", path)] + [path]
        used = [each for each in above if each and re.search(rf"\.Values{re.escape(each)}\b(?!\.\w)", TEMPLATES)]
        image = path.startswith((".image.", ".dev.image."))
        assert used or image or any(part in path for part in whole), f"nothing reads {path}"


def test_no_part_of_the_schema_lets_unknown_names_pass():
    described = schema()
    parts = [described, *described["$defs"].values()]
    assert [part["title"] for part in parts if part.get("additionalProperties") is not False] == []
    assert json.loads((CHART / "values.schema.json").read_text()) == described


def test_the_chart_knows_every_kind():
    plurals = {kind.names.plural for kind in KINDS.values()}
    assert set(PLURALS) == plurals
    rbac = (CHART / "templates" / "governor" / "rbac.yaml").read_text()
    for listed in re.findall(r"resources: \[(backtests[^\]]*)\]", rbac):
        assert set(listed.split(", ")) == plurals
    assert set(re.findall(r'"([a-z]+s)"', re.findall(r"\$kinds := list (.*?) }}", rbac)[0])) == plurals
    for part in ("status", "finalizers"):
        assert set(re.findall(rf"- ([a-z]+)/{part}\n", rbac)) == plurals
