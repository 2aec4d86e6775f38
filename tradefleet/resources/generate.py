"""The files that are made from the resource models: CRDs and their reference page."""

from tradefleet.resources.crd import definition, file_name
from tradefleet.resources.documents import write_yaml
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.reference_page import page

CRD_FOLDER = "crds"
REFERENCE_PAGE = "docs/reference/resources.md"

# Nothing else may lie here: what is not generated any more must go.
OWNED = (f"{CRD_FOLDER}/*",)

_HEAD = "# Generated from tradefleet/resources by `make generate`; do not edit.\n"


def generate() -> dict[str, str]:
    """Return the text of each generated file by its path in the repository."""
    files = {f"{CRD_FOLDER}/{file_name(kind)}": _HEAD + write_yaml([definition(kind)]) for kind in KINDS.values()}
    return {**files, REFERENCE_PAGE: page()}
