"""Output as a kubectl user expects it: tables for people, JSON and YAML for programs."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence

from tradefleet.domain.errors import Permanent

PIPE_WIDTH = 400  # columns of a table that goes to a file or a pipe: nothing is cut off there


class UnknownOutput(Permanent):
    """`-o` names a form that this command does not write."""


def check_output(output: str, known: Collection[str]) -> None:
    """Raise UnknownOutput unless `output` is one of the forms that a command writes."""
    if output not in known:
        raise UnknownOutput(f"-o {output}: must be one of {', '.join(known)}")


def print_values(values: object, output: str) -> None:
    """Print plain values as `json` or `yaml`."""
    if output == "json":
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    else:
        import yaml  # noqa: PLC0415 - only for this output

        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    sys.stdout.write(text)


def print_rows(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Collection[int] = (),
    styles: Sequence[Sequence[str]] = (),
    title: str = "",
) -> None:
    """Print a table on standard output; `numbers` are the columns set to the right, `styles` those of each cell.

    In a terminal it fits the window; elsewhere nothing is cut off and nothing coloured.
    """
    from rich.console import Console  # noqa: PLC0415 - rich is slow to import, and `-o json` needs none
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    in_terminal = sys.stdout.isatty()
    console = Console() if in_terminal else Console(width=PIPE_WIDTH, no_color=True)
    table = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left")
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place in numbers else "left", no_wrap=place in numbers or place == 0)
    for row_number, row in enumerate(rows):
        style = styles[row_number] if styles else [""] * len(row)
        # Text, not str: a name such as [red] is no markup.
        table.add_row(*[Text(cell, style=each) for cell, each in zip(row, style, strict=True)])
    if in_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())  # rich fills lines with blanks
