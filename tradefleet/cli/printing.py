"""Output as a kubectl user expects it: tables for people, JSON and YAML for programs."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from tradefleet.domain.errors import Permanent

if TYPE_CHECKING:
    from rich.table import Table

COLUMN_GAP = 2  # blanks between two columns
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
    optional: Sequence[int] = (),
    is_prose: bool = False,
) -> None:
    """Print a table on standard output; `numbers` are the columns set to the right, `styles` those of each cell.

    In a terminal it fits the window: the columns `optional` are left out in this order, and named below, then text is
    shortened; a number never is. With `is_prose` the first column has sentences, which may take several lines.
    Elsewhere nothing is cut off and nothing coloured.
    """
    from rich.console import Console  # noqa: PLC0415 - rich is slow to import, and `-o json` needs none

    in_terminal = sys.stdout.isatty()
    console = Console() if in_terminal else Console(width=PIPE_WIDTH, no_color=True)
    cells = [list(row) for row in rows]
    left_out = too_many(names, cells, optional, console.width) if in_terminal else []
    table = make_table(names, cells, numbers=numbers, styles=styles, title=title, left_out=left_out, is_prose=is_prose)
    if in_terminal:
        console.print(table)
        if left_out:
            hidden = ", ".join(names[place] for place in sorted(left_out))
            console.print(f"(a wider window also shows {hidden})", style="dim", highlight=False)
        return
    with console.capture() as captured:
        console.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())  # rich fills lines with blanks


def make_table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[int] = (),
    styles: Sequence[Sequence[str]] = (),
    title: str = "",
    left_out: Collection[int] = (),
    is_prose: bool = False,
) -> "Table":
    """Return a table without the columns `left_out`, in which no number is ever shortened."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = [place for place in range(len(names)) if place not in left_out]
    table = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left")
    for place in shown:
        is_number = place in numbers
        least = max(len(row[place]) for row in [names, *rows]) if is_number else None
        table.add_column(
            names[place],
            justify="right" if is_number else "left",
            no_wrap=is_number or (place == 0 and not is_prose),
            min_width=least,
        )
    for row_number, row in enumerate(rows):
        style = styles[row_number] if styles else [""] * len(row)
        # Text, not str: a name such as [red] is no markup.
        table.add_row(*[Text(row[place], style=style[place]) for place in shown])
    return table


def too_many(names: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[int], width: int) -> list[int]:
    """Return which of the columns `optional` to leave out, the first ones first, so that a table is at most `width`."""
    widths = [max(len(row[place]) for row in [names, *rows]) + COLUMN_GAP for place in range(len(names))]
    left_out: list[int] = []
    for place in optional:
        if sum(widths) - COLUMN_GAP <= width:
            break
        left_out.append(place)
        widths[place] = 0
    return left_out
