"""What a podTemplate says of memory, in bytes."""

import pytest

from tradefleet.resources.pods import PodTemplate, memory_limit_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [("128Mi", 128 * 1024**2), ("0.5Gi", 512 * 1024**2), ("1G", 10**9), ("4096", 4096), ("4096000m", 4096)],
)
def test_a_limit_of_memory_is_read_as_kubernetes_reads_it(text: str, expected: int) -> None:
    template = PodTemplate.model_validate({"resources": {"limits": {"memory": text}}}, by_alias=True)

    assert memory_limit_of(template) == expected


@pytest.mark.parametrize("values", [{}, {"resources": {"limits": {"cpu": "1"}}}])
def test_nothing_said_is_no_limit(values: dict) -> None:
    assert memory_limit_of(PodTemplate.model_validate(values, by_alias=True)) is None
    assert memory_limit_of(None) is None
