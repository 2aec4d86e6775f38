"""A report: one HTML file that opens without a network, with its data, its charts and their library inside.

The tables are plain HTML and can be read without scripts. Everything that came from a user is escaped: as text in the
tables, as JSON without any `<` in the data. The page forbids itself every connection by its content security policy.
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import pairwise
from string import Template

from workloads.backtest.figures import drawdowns
from workloads.backtest.report_data import COST_COLUMNS, POSITION_COLUMNS, Cell, Column, Curve, ReportBot, ReportData
from workloads.backtest.report_marks import marks_of
from workloads.backtest.thinning import Candles, kept_places

STRETCHES_OF_ALL = 2_400  # of all bots' curves together; a stretch keeps up to eight points
STRETCHES_MAX = 600  # of one curve: more than a screen has pixels for
STRETCHES_MIN = 60
MICROSECONDS = 1_000_000

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


def build_report(data: ReportData) -> str:
    """Return the page."""
    stretches = max(STRETCHES_MIN, min(STRETCHES_MAX, STRETCHES_OF_ALL // max(1, len(data.bots))))
    return Template(_asset("page.html")).substitute(
        title=escape(data.title),
        subtitle=escape(data.subtitle),
        policy=_POLICY,
        synthetic='<span class="badge">synthetic data</span>' if data.is_synthetic else "",
        tiles=_tiles(data),
        ranking=_ranking(data),
        costs=_costs(data),
        books=_books(data),
        facts=_facts(data),
        data=_json(_payload(data, stretches)),
        style=_inlined("report.css"),
        library=_inlined("echarts.min.js"),
        script=_inlined("report.js"),
    )


def _asset(name: str) -> str:
    return (files("workloads.backtest") / "report_assets" / name).read_text(encoding="utf-8")


def _inlined(name: str) -> str:
    """Return an asset that stands within an element of the page."""
    text = _asset(name)
    assert "</script" not in text, f"{name} would end its own element"
    assert "</style" not in text, f"{name} would end its own element"
    return text


def _json(value: object) -> str:
    """Return JSON that no reader of HTML can mistake for markup."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


# --- tables ----------------------------------------------------------------------------------------------------------


def _tiles(data: ReportData) -> str:
    """Return the four things to know first."""
    better = sum(bot.vs_hold.gain > 0 for bot in data.bots)
    tiles = [("Bots", f"{len(data.bots)}"), ("Better than holding", f"{better} of {len(data.bots)}")]
    if data.bots:
        best = data.bots[0]
        tiles.append(("Best against holding", f"{best.name}: {best.vs_hold.text} {best.quote}"))
    tiles.append(("Fills", f"{sum(len(bot.trades) for bot in data.bots):,}"))
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in tiles)
    return f'<dl class="tiles">{cells}</dl>'


def _ranking(data: ReportData) -> str:
    rows = []
    for number, bot in enumerate(data.bots, start=1):
        link = f'<a href="#bot" data-bot="{number - 1}">{escape(bot.name)}</a>'
        name = f'<td class="name">{link}<span class="strategy">{escape(bot.strategy)}</span></td>'
        rows.append(f'<tr><td class="rank">{number}</td>{name}{_cells(bot.cells, data.columns)}</tr>')
    first = [Column(name="#", hint="Place in the ranking."), Column(name="Bot", is_number=False)]
    return _table([*first, *data.columns], rows, sortable=True)


def _cells(cells: Sequence[Cell], columns: Sequence[Column]) -> str:
    parts = []
    for cell, column in zip(cells, columns, strict=True):
        kind = "number" if column.is_number else "text"
        tone = {1: " good", -1: " bad"}.get(cell.gain, "")
        value = "" if cell.value is None else f' data-value="{cell.value!r}"'
        parts.append(f'<td class="{kind}{tone}"{value}>{escape(cell.text)}</td>')
    return "".join(parts)


def _table(columns: Iterable[Column], rows: Iterable[str], *, sortable: bool = False) -> str:
    heads = []
    for column in columns:
        kind = "number" if column.is_number else "text"
        hint = f' title="{escape(column.hint)}"' if column.hint else ""
        name = escape(column.name)
        label = f'<button type="button">{name}</button>' if sortable else name
        heads.append(f'<th scope="col" class="{kind}"{hint}>{label}</th>')
    attribute = " data-sortable" if sortable else ""
    return (
        f'<div class="scroll"><table{attribute}><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _costs(data: ReportData) -> str:
    columns = [Column(name="Bot", is_number=False), Column(name="Quote", is_number=False), *COST_COLUMNS]
    rows = [
        f'<tr><td class="name">{escape(bot.name)}</td><td class="text">{escape(bot.quote)}</td>'
        f"{_cells(bot.costs, COST_COLUMNS)}</tr>"
        for bot in data.bots
    ]
    hints = "".join(f"<li><b>{escape(each.name)}</b>: {escape(each.hint)}</li>" for each in COST_COLUMNS[:3])
    return (
        f'<div class="chart costs" data-chart="costs"></div>{_table(columns, rows)}<ul class="about small">{hints}</ul>'
    )


def _books(data: ReportData) -> str:
    wallet_columns = [
        Column(name="Bot", is_number=False),
        Column(name="Asset", is_number=False),
        Column(name="Free", hint="Can be spent."),
        Column(name="Locked", hint="Reserved for open orders."),
    ]
    wallets = [
        f"<tr>{_bot_cell(bot, place, len(bot.wallet))}"
        f'<td class="text">{escape(asset)}</td><td class="number">{escape(free)}</td>'
        f'<td class="number">{escape(locked)}</td></tr>'
        for bot in data.bots
        for place, (asset, free, locked) in enumerate(bot.wallet)
    ]
    position_columns = [
        Column(name="Bot", is_number=False),
        Column(name=POSITION_COLUMNS[0], is_number=False),
        *(Column(name=name) for name in POSITION_COLUMNS[1:]),
    ]
    positions = [
        f'<tr>{_bot_cell(bot, place, len(bot.positions))}<td class="text">{escape(row[0])}</td>'
        + "".join(f'<td class="number">{escape(text)}</td>' for text in row[1:])
        + "</tr>"
        for bot in data.bots
        for place, row in enumerate(bot.positions)
    ]
    open_positions = (
        _table(position_columns, positions) if positions else '<p class="about">No position is open at the end.</p>'
    )
    return f"<h3>Wallets</h3>{_table(wallet_columns, wallets)}<h3>Open positions</h3>{open_positions}"


def _bot_cell(bot: ReportBot, place: int, rows: int) -> str:
    """Return the cell with the bot's name, which stands once beside all of its rows."""
    if place:
        return ""
    span = f' rowspan="{rows}"' if rows > 1 else ""
    return f'<td class="name"{span}>{escape(bot.name)}</td>'


def _facts(data: ReportData) -> str:
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in data.facts)
    notes = "".join(f"<li>{escape(note)}</li>" for note in data.notes)
    return f'<dl class="facts">{facts}</dl>' + (f"<ul>{notes}</ul>" if notes else "")


# --- data of the charts ----------------------------------------------------------------------------------------------


def _payload(data: ReportData, stretches: int) -> dict[str, object]:
    return {
        "synthetic": data.is_synthetic,
        "bots": [_bot_payload(bot, data.candles, stretches) for bot in data.bots],
        "candles": {name: _candles_payload(candles) for name, candles in data.candles.items()},
    }


def _bot_payload(bot: ReportBot, candles: dict[str, Candles], stretches: int) -> dict[str, object]:
    return {
        "name": bot.name,
        "strategy": bot.strategy,
        "quote": bot.quote,
        "markets": list(bot.markets),
        "fees": bot.fees,
        "slippage": bot.slippage,
        "curve": _curve_payload(bot.curve, stretches),
        "marks": {name: marks_of(bot.trades, name, candles[name]) for name in bot.markets if name in candles},
        "trades": len(bot.trades),
    }


def _curve_payload(curve: Curve, stretches: int) -> dict[str, object]:
    """Return the kept points: seconds since the one before, equity, holding (null before it began), drawdown in %."""
    equity, hold = curve.equity_atoms, curve.hold_atoms
    falls = list(drawdowns(equity))
    kept = kept_places([equity, hold, falls], stretches)
    unit = 10**curve.scale
    digits = _digits(equity[0] / unit if equity else 1.0)
    seconds = [curve.market_us[place] // MICROSECONDS for place in kept]
    return {
        "start": seconds[0] if seconds else 0,
        "steps": [after - before for before, after in pairwise(seconds)],
        "equity": [round(equity[place] / unit, digits) for place in kept],
        "hold": [round(hold[place] / unit, digits) if place >= curve.hold_start else None for place in kept],
        "drawdown": [round(100.0 * falls[place], 3) for place in kept],
        "points": len(equity),
    }


def _candles_payload(candles: Candles) -> dict[str, object]:
    seconds = [open_us // MICROSECONDS for open_us in candles.open_us]
    return {
        "width": candles.width_us // MICROSECONDS,
        "barsEach": candles.bars_each,
        "barWidth": candles.interval_us // MICROSECONDS,
        "start": seconds[0] if seconds else 0,
        "steps": [after - before for before, after in pairwise(seconds)],
        "open": [_short(price) for price in candles.opens],
        "high": [_short(price) for price in candles.highs],
        "low": [_short(price) for price in candles.lows],
        "close": [_short(price) for price in candles.closes],
        "volume": [_short(volume, 4) for volume in candles.volumes],
    }


def _digits(amount: float) -> int:
    """Return the decimals that say something about amounts of this size: seven digits in all, at least two of them."""
    whole = len(str(int(abs(amount))))
    return max(2, 7 - whole)


def _short(number: float, digits: int = 9) -> float | int:
    short = float(f"{number:.{digits}g}")
    return int(short) if short.is_integer() else short
