"""Telling: a sweep as one table, `sweep.csv` and `summary.json`.

| column             | what                                                          | unit        |
|--------------------|---------------------------------------------------------------|-------------|
| the varied keys    | their values                                                  | each its own |
| status             | that of the plan; bad_input, no_plan, fault, lost where there is none | -   |
| energy_cost, ...   | as in a plan's summary.json                                   | money, kWh, kW, kg |
| breaches           | how many limits are broken; `broken` names their families            | -           |
| limit_price_per_kw | what 1 kW more of the import limit in every step would have saved | money/kW |
| why                | why there is no plan                                          | -           |
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from facility.config.strict_yaml import YamlError, parse
from facility.sweep.axes import Case
from facility.sweep.outcome import FIGURES, Outcome
from facility.sweep.sweep import Swept

COLUMNS = ("status", *FIGURES, "baseline_energy_cost", "saving_pct", "breaches", "limit_price_per_kw", "broken", "why")
LONGEST_WHY = 160


def value_of(text: str) -> Any:
    """A varied value as JSON has it: the number or truth value where it is one, else its text.

    >>> [value_of(text) for text in ("8000", "0.5", "true", "T2", "[]")]
    [8000, 0.5, True, 'T2', '[]']
    """
    try:
        found = parse(text)
    except YamlError:
        return text
    value = None if found is None else found.value
    return value if isinstance(value, bool | int | float | str) else text


def as_csv(swept: Swept) -> str:
    """`sweep.csv`: a row for each case, full precision, nothing where there is no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(axis.key for axis in swept.question.axes), *COLUMNS])
    for case, told in swept.rows:
        figures = [told.figures.get(name) for name in COLUMNS[1:-2]]
        writer.writerow([*case.values, told.status, *("" if each is None else repr(each) for each in figures), told.broken, told.why])
    return text.getvalue()


def as_json(swept: Swept) -> dict[str, Any]:
    """`summary.json`: what was varied, every case, and which plan is the best that keeps all limits."""
    question = swept.question
    keys = [axis.key for axis in question.axes]
    return {
        "site": question.site.id,
        "start": question.request.start,
        "currency": question.site.currency,
        "varied": [{"key": axis.key, "values": [value_of(value) for value in axis.values]} for axis in question.axes],
        "plans": [
            {
                "set": {key: value_of(value) for key, value in zip(keys, case.values, strict=True)},
                "status": told.status,
                **told.figures,
                "marginal_prices": told.prices,
                "broken": told.broken,
                "why": told.why,
            }
            for case, told in swept.rows
        ],
        "best": swept.best,
    }


def dumped(swept: Swept) -> str:
    """`summary.json` as text."""
    return json.dumps(as_json(swept), indent=2, allow_nan=False) + "\n"


def short_columns(swept: Swept) -> list[str]:
    """Heads of the table that is printed."""
    currency = swept.question.site.currency
    keys = [axis.key for axis in swept.question.axes]
    return [*keys, f"energy cost, {currency}", "saving, %", "peak, kW", "carbon, kg", "speed", "breaches", f"1 kW of limit, {currency}"]


def short_rows(swept: Swept) -> Iterator[Sequence[str]]:
    """Rows of the table that is printed; a case without a plan says why in place of its figures."""
    for case, told in swept.rows:
        yield [*case.values, *_short(told)]


def said(swept: Swept) -> Iterator[str]:
    """What stands under the table: the cases that have no plan, and the one to take."""
    for case, told in swept.rows:
        if not told.made:
            why = " ".join(told.why.split())
            yield f"no plan with {named(case)}: {why if len(why) <= LONGEST_WHY else why[: LONGEST_WHY - 1] + '…'}"
    if swept.best is None:
        yield "no plan keeps every limit"
    else:
        yield f"best within every limit, work that is not done counted: {named(swept.question.cases[swept.best])}"


def named(case: Case) -> str:
    """A case as its settings."""
    return " ".join(case.settings)


def _short(told: Outcome) -> Sequence[str]:
    if not told.made:
        return [told.status, *[""] * 6]
    digits = {"energy_cost": 1, "saving_pct": 1, "peak_kw": 1, "carbon_kg": 1, "weighted_throughput": 4, "breaches": 0, "limit_price_per_kw": 4}
    return [_number(told.figures[name], places) for name, places in digits.items()]


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:,.{places}f}"
