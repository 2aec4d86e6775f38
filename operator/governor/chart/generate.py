"""The files of the chart that are made from the Python types: its copies of the CRDs, and the schema of its values."""

import json

from tradefleet.resources.generate import CRD_FOLDER
from tradefleet.resources.generate import generate as generate_resources

from .values import schema

CHART = "helm/tradefleet"
CRD_COPIES = f"{CHART}/files/crds"

# Nothing else may lie here: what is not generated any more must go.
OWNED = (f"{CRD_COPIES}/*",)


def generate() -> dict[str, str]:
    """Return the text of each generated file by its path in the repository."""
    copies = {
        path.replace(CRD_FOLDER, CRD_COPIES, 1): text
        for path, text in generate_resources().items()
        if path.startswith(f"{CRD_FOLDER}/")
    }
    return {**copies, f"{CHART}/values.schema.json": json.dumps(schema(), indent=2) + "\n"}
