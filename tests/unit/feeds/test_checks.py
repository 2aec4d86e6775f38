import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.feeds.candles import START_US, bar, bars, description, series
from tradefleet.domain.bar import MINUTE_US, Bar, check_bar
from workloads.feeds.checks import ZERO_VOLUME_RUN_MIN, Row, check_rows
from workloads.feeds.errors import BrokenData
from workloads.feeds.findings import KEPT_PER_RULE_MAX, Finding, Findings, Rule, Severity


def rows(content: Sequence[Bar]) -> list[Row]:
    """Return bars as rows of a file whose header is line 1."""
    return [(number, *each[2:]) for number, each in enumerate(content, start=2)]


def checked(content: Sequence[Row], interval_us: int = MINUTE_US) -> tuple[list[Bar], Findings]:
    findings = Findings(keep_going=True)
    found = list(check_rows(content, description("candles.csv", interval_us=interval_us), findings))
    return found, findings


def only(findings: Findings, rule: Rule) -> Finding:
    assert list(findings.counts) == [rule]
    assert findings.counts[rule] == 1
    return findings.kept[0]


def refused(content: Sequence[Row], interval_us: int = MINUTE_US) -> str:
    with pytest.raises(BrokenData) as caught:
        list(check_rows(content, description("candles.csv", interval_us=interval_us), Findings()))
    return str(caught.value)


@given(series())
def test_sound_bars_pass_as_they_are(content: list[Bar]) -> None:
    found, findings = checked(rows(content))

    assert found == content
    assert findings.number_of(Severity.ERROR) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"high": 98.0}, "candles.csv line 3 (BTC-USD 1m), field high: 98.0 is below low 99.0; correct the line or"),
        ({"open": 103.0}, "field open: 103.0 is not between low 99.0 and high 102.0; correct the line or take it out"),
        ({"close": 98.5}, "field close: 98.5 is not between low 99.0 and high 102.0; correct the line or take it out"),
        ({"low": 0.0}, "field low: must be above 0, was 0.0; correct the line or take it out"),
        ({"open": -1.0}, "field open: must be above 0, was -1.0; correct the line or take it out"),
        ({"volume": -2.0}, "field volume: must not be below 0, was -2.0; correct the line or take it out"),
        ({"close": math.nan}, "field close: must be a finite number, was nan; correct the line or take it out"),
        ({"volume": math.nan}, "field volume: must be a finite number, was nan; correct the line or take it out"),
        ({"high": math.inf}, "field high: must be a finite number, was inf; correct the line or take it out"),
        ({"volume": math.inf}, "field volume: must be a finite number, was inf; correct the line or take it out"),
        (
            {"high": 1e300},
            "candles.csv line 3 (BTC-USD 1m), field high: must be at most 1e+15, was 1e+300; correct",
        ),
        ({"volume": 1e31}, "field volume: must be at most 1e+30, was 1e+31; correct the line or take it out"),
    ],
)
def test_a_broken_value_is_refused_with_line_field_value_and_remedy(change: dict[str, float], message: str) -> None:
    content = bars(range(3))
    content[1] = content[1]._replace(**change)

    assert message in refused(rows(content))


VALUES = st.floats(allow_nan=True, allow_infinity=True) | st.floats(min_value=90, max_value=110)


@given(st.tuples(VALUES, VALUES, VALUES, VALUES, VALUES))
@example((100.0, 100.0, 100.0, 100.0, -0.0))
@example((1e15, 1e15, 1e15, 1e15, 1e30))
@example((100.0, 1.1e15, 100.0, 100.0, 1.0))
@example((100.0, 100.0, 100.0, 100.0, 1.1e30))
def test_exactly_the_values_that_the_domain_refuses_are_refused(values: tuple[float, ...]) -> None:
    wanted = Bar(description().symbol, MINUTE_US, START_US, *values)
    found, findings = checked([(2, *wanted[2:])])
    try:
        check_bar(wanted)
    except Exception:  # noqa: BLE001 - whatever the domain says, we must say no
        assert not found
        assert findings.number_of(Severity.ERROR) == 1
    else:
        assert found == [wanted]
        assert math.copysign(1.0, found[0].volume) == 1.0


def test_a_bar_older_than_the_one_before_is_refused() -> None:
    content = bars([0, 1, 2, 4, 3])

    message = refused(rows(content))

    assert "line 6 (BTC-USD 1m), field open_time: 2018-04-04T00:03:00Z comes after 2018-04-04T00:04:00Z" in message
    assert "sort by open time" in message


def test_a_bar_that_comes_twice_with_the_same_content_is_refused_and_counted_once_in_a_check() -> None:
    content = bars([0, 1, 1, 1, 2])

    assert refused(rows(content)) == (
        "candles.csv line 4 (BTC-USD 1m): the bar of 2018-04-04T00:01:00Z is on line 3 already; take one of the two out"
    )

    found, findings = checked(rows(content))
    assert found == bars([0, 1, 2])
    assert findings.duplicates == 2
    assert findings.number_of(Severity.ERROR) == 2


def test_a_bar_that_comes_twice_with_other_content_is_refused() -> None:
    content = [bar(0), bar(1, close=100.0), bar(1, close=101.0)]

    assert refused(rows(content)) == (
        "candles.csv line 4 (BTC-USD 1m), field close: 101.0 for 2018-04-04T00:01:00Z, but 100.0 on line 3; "
        "keep the one that is right"
    )


def test_a_bar_off_the_grid_is_refused() -> None:
    content = bars(range(3))
    content[2] = content[2]._replace(open_us=content[2].open_us + 30_000_000)

    message = refused(rows(content))

    assert (
        "line 4 (BTC-USD 1m), field open_time: 2018-04-04T00:02:30Z is not a multiple of the interval of 1m" in message
    )


def test_an_interval_stated_too_long_is_refused_with_what_the_bars_say() -> None:
    message = refused(rows(bars(range(10))), interval_us=5 * MINUTE_US)

    assert "not a multiple of the interval of 5m" in message
    assert "the bar before opens 1m earlier" in message


@pytest.mark.parametrize("count", [4, 100])
def test_an_interval_stated_too_short_is_refused_with_what_the_bars_say(count: int) -> None:
    message = refused(rows(bars(range(0, count * 5, 5))))

    assert "bars are 5m apart, not 1m; state the interval as 5m" in message


def test_an_instrument_that_trades_rarely_is_no_wrong_interval() -> None:
    found, findings = checked(rows(bars([0, 5, 7, 12, 17, 22, 27])))

    assert len(found) == 7
    assert findings.number_of(Severity.ERROR) == 0
    assert findings.number_of(Severity.GAP) == 6


def test_each_gap_is_named_with_its_ends_and_missing_bars_and_nothing_is_filled_in() -> None:
    content = bars([0, 1, 2, 6, 7, 9])

    found, findings = checked(rows(content))

    assert found == content
    assert [(gap.from_us, gap.to_us, gap.count) for gap in findings.gaps] == [
        (START_US + 3 * MINUTE_US, START_US + 6 * MINUTE_US, 3),
        (START_US + 8 * MINUTE_US, START_US + 9 * MINUTE_US, 1),
    ]
    assert findings.missing_bars == 4
    assert str(findings.gaps[0]) == (
        "candles.csv line 5 (BTC-USD 1m): 3 bars missing from 2018-04-04T00:03:00Z to 2018-04-04T00:06:00Z"
    )


@given(series())
def test_bars_and_missing_bars_fill_the_whole_range(content: list[Bar]) -> None:
    found, findings = checked(rows(content))

    assert len(found) + findings.missing_bars == (found[-1].open_us - found[0].open_us) // MINUTE_US + 1


def test_a_broken_bar_is_not_called_missing_as_well() -> None:
    content = bars(range(4))
    content[1] = content[1]._replace(high=1.0)

    found, findings = checked(rows(content))

    assert len(found) == 3
    assert only(findings, Rule.HIGH_BELOW_LOW).place == "line 3"


def test_every_broken_row_is_found_when_the_checks_keep_going() -> None:
    content = bars(range(6))
    content[1] = content[1]._replace(high=1.0)
    content[3] = content[3]._replace(close=math.nan)
    content[4] = content[4]._replace(low=-1.0)

    found, findings = checked(rows(content))

    assert [finding.place for finding in findings.kept] == ["line 3", "line 5", "line 6"]
    assert len(found) == 3


def test_no_more_findings_are_kept_than_fit_while_all_are_counted() -> None:
    content = [each._replace(high=1.0) for each in bars(range(KEPT_PER_RULE_MAX + 50))]

    _, findings = checked(rows(content))

    assert len(findings.kept) == KEPT_PER_RULE_MAX
    assert findings.counts[Rule.HIGH_BELOW_LOW] == KEPT_PER_RULE_MAX + 50


@pytest.mark.parametrize("run", [ZERO_VOLUME_RUN_MIN - 1, ZERO_VOLUME_RUN_MIN])
@pytest.mark.parametrize("is_at_the_end", [False, True])
def test_a_long_run_without_volume_is_a_warning(run: int, is_at_the_end: bool) -> None:
    quiet = [bar(minute, volume=0.0) for minute in range(5, 5 + run)]
    content = [*bars(range(5)), *quiet, *([] if is_at_the_end else bars(range(5 + run, 10 + run)))]

    found, findings = checked(rows(content))

    assert found == content
    if run < ZERO_VOLUME_RUN_MIN:
        assert not findings.kept
    else:
        finding = only(findings, Rule.ZERO_VOLUME)
        assert finding.severity is Severity.WARNING
        assert (finding.from_us, finding.count) == (content[5].open_us, run)
        assert finding.to_us == content[4 + run].close_us


@pytest.mark.parametrize(("field", "value", "part"), [("low", 50.0, "50.0%"), ("high", 200.0, "100.0%")])
def test_a_move_far_out_of_the_ordinary_is_a_warning(field: str, value: float, part: str) -> None:
    content = [
        Bar(bar(0).symbol, MINUTE_US, START_US + i * MINUTE_US, 100.0, 100.1, 99.9, 100.0, 1.0) for i in range(100)
    ]
    content[80] = content[80]._replace(**{field: value})

    found, findings = checked(rows(content))

    assert found == content
    finding = only(findings, Rule.OUTLIER)
    assert (finding.severity, finding.place, finding.field) == (Severity.WARNING, "line 82", field)
    assert part in finding.message


def test_one_wild_bar_does_not_hide_the_next() -> None:
    content = [
        Bar(bar(0).symbol, MINUTE_US, START_US + i * MINUTE_US, 100.0, 100.1, 99.9, 100.0, 1.0) for i in range(100)
    ]
    for place in (80, 82):
        content[place] = content[place]._replace(high=150.0)

    _, findings = checked(rows(content))

    assert findings.counts[Rule.OUTLIER] == 2


def test_a_price_after_a_gap_is_no_outlier() -> None:
    content = [
        Bar(bar(0).symbol, MINUTE_US, START_US + i * MINUTE_US, 100.0, 100.1, 99.9, 100.0, 1.0) for i in range(100)
    ]
    content += [
        each._replace(open_us=each.open_us + 500 * MINUTE_US, open=150.0, high=150.0, low=150.0, close=150.0)
        for each in content
    ]

    _, findings = checked(rows(content))

    assert list(findings.counts) == [Rule.GAP]
