"""Tables of customers with known truth: clean ones from any seed, and faults that are put into them."""

from __future__ import annotations

import numpy
import pandas

ROWS = 1500
CITIES = ["Bern", "Genève", "Zürich"]


def customers(seed: int, rows: int = ROWS) -> pandas.DataFrame:
    """A clean table, as text: identical truth for each seed, other rows."""
    chance = numpy.random.default_rng(seed)
    churned = chance.random(rows) < 0.3
    income = numpy.round(chance.lognormal(8, 0.3, rows), 2)
    when = pandas.Timestamp("2026-01-01") + pandas.to_timedelta(numpy.cumsum(chance.integers(1, 900, rows)), unit="s")
    born = pandas.Timestamp("1950-01-01") + pandas.to_timedelta(chance.integers(0, 18000, rows), unit="D")
    table = pandas.DataFrame(
        {
            "id": [f"C-{number:06d}" for number in range(1, rows + 1)],
            "when": when.strftime("%Y-%m-%dT%H:%M:%S"),
            "birthday": born.strftime("%Y-%m-%d"),
            "visits": chance.poisson(6 + 3 * churned).astype(str),
            "income": [f"{value:.2f}" for value in income],
            "height": [f"{value:.1f}" for value in chance.normal(172, 9, rows)],
            "score": [f"{value:.3f}" for value in chance.beta(2, 5, rows)],
            "plan": chance.choice(["basic", "plus", "pro"], rows, p=[0.6, 0.3, 0.1]),
            "city": chance.choice(CITIES, rows),
            "active": chance.choice(["true", "false"], rows),
            "churned": numpy.where(churned, "yes", "no"),
        }
    )  # fmt: skip
    table.loc[chance.random(rows) < 0.05, "score"] = ""
    return table


def text_of(table: pandas.DataFrame, separator: str = ",") -> bytes:
    return table.to_csv(index=False, lineterminator="\n", sep=separator).encode()
