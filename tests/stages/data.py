"""Tables that the tests of the training stages share: small, of every kind of column, with something to be learnt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy
import pandas


def customers(rows: int = 150, seed: int = 0) -> pandas.DataFrame:
    """Customers that leave or stay, for reasons in the table and for none."""
    chance = numpy.random.default_rng(seed)
    table = pandas.DataFrame(
        {
            "age": chance.normal(40, 10, rows).round(1),
            "orders": chance.integers(0, 30, rows),
            "city": chance.choice(["Bonn", "Köln", "Ulm"], rows),
            "paid": chance.choice([True, False], rows),
            "owner": chance.integers(0, 30, rows),
            "month": [f"2026-{month:02d}-01" for month in chance.integers(1, 13, rows)],
        }
    )
    sense = (table["age"] - 40) / 10 + 1.5 * (table["city"] == "Bonn") - table["paid"] + chance.normal(size=rows)
    table["spent"] = (numpy.exp(sense / 3) * 10).round(2)
    table["left"] = numpy.where(sense > 0, "yes", "no")
    table.loc[3:9, "age"] = numpy.nan
    table.loc[20:22, "city"] = None
    return table


def words_of(given: Mapping[str, Any]) -> list[str]:
    """What `with` says, as the arguments of a command."""
    return [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in given.items()]
