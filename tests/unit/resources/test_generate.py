from pathlib import Path

from tradefleet.resources.documents import read_documents
from tradefleet.resources.generate import generate
from tradefleet.resources.kinds import KINDS

REPOSITORY = Path(__file__).resolve().parents[3]


def test_what_is_committed_is_what_the_types_say():
    differing = [path for path, text in generate().items() if (REPOSITORY / path).read_text(encoding="utf-8") != text]
    assert differing == [], "run make generate"


def test_each_kind_has_a_file_that_holds_its_definition():
    files = generate()
    names = {
        document.value["spec"]["names"]["kind"]
        for path, text in files.items()
        if path.startswith("crds/")
        for document in read_documents(text, path)
    }
    assert names == KINDS.keys()


def test_the_page_explains_every_kind_field_and_rule():
    page = generate()["docs/reference/resources.md"]
    assert all(f"\n## {name}\n" in page for name in KINDS)
    assert "| `spec.risk.maxOpenOrders` | integer | `200` |" in page
    assert "| `spec.strategy.name` | text | **required** |" in page
    assert "| `spec.mode` | `paper` \\| `live` | `paper` |" in page
    assert "- from must be before to\n" in page


def test_generating_twice_gives_the_same_text():
    assert generate() == generate()
