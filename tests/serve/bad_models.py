"""Models that must not be served, or that come to grief while they are; pickled by reference to this module."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy


class Sound:
    """Says yes."""

    classes_ = numpy.array(["no", "yes"])

    def fit(self, table: Any, outputs: Any) -> Any:
        return self

    def predict(self, table: Any) -> Any:
        return numpy.full(len(table), "yes", dtype=object)


class Hanging(Sound):
    """Is never loaded."""

    def __reduce__(self) -> Any:
        return time.sleep, (3600,)


class Dying(Sound):
    """Takes the process that loads it along."""

    def __reduce__(self) -> Any:
        return os._exit, (7,)


class NotANumber(Sound):
    """Says what no JSON holds."""

    def predict(self, table: Any) -> Any:
        return numpy.full(len(table), numpy.nan)


class Moody(Sound):
    """Says something else each time that it is loaded."""

    def predict(self, table: Any) -> Any:
        return numpy.full(len(table), time.time_ns() // 1000 % 1_000_000, dtype=float)


class Mortal(Sound):
    """Dies of a city that is called so."""

    def predict(self, table: Any) -> Any:
        if "death" in set(table["city"]):
            os._exit(9)
        return super().predict(table)


class Greedy(Sound):
    """Takes more and more memory over a city that is called so, or all at once over another one."""

    def predict(self, table: Any) -> Any:
        if "feast" in set(table["city"]):
            numpy.ones(4 << 30, dtype="u1")
        while "hunger" in set(table["city"]):
            self.eaten = [*getattr(self, "eaten", ()), numpy.ones(4 << 20, dtype="u1")]
            time.sleep(0.005)
        return super().predict(table)


class Stuck(Sound):
    """Thinks for ever about a city that is called so."""

    def predict(self, table: Any) -> Any:
        while "eternity" in set(table["city"]):
            time.sleep(0.1)
        return super().predict(table)
