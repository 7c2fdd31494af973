"""Models that must not be served, or that come to grief while they are; pickled by reference to this module."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
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


_NUMBERS = '{"counts": {"no name": 1}, "gauges": {}, "requests": {"a": 1}, "histograms": {}}'
_SAID = {
    "nest": "[" * 100_000,
    "much": '{"say": "alive", "busy": 1' + "0" * 400 + "}",
    "poison": f'{{"say": "alive", "busy": 0, "numbers": {_NUMBERS}}}',
}


class Talking(Sound):
    """Says to whoever started it what a worker does not say, over a city that is called so."""

    def predict(self, table: Any) -> Any:
        for city in set(table["city"]) & _SAID.keys():
            for name in os.listdir("/proc/self/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                        os.write(int(name), _SAID[city].encode())
        return super().predict(table)


class Parent(Sound):
    """Starts a process of its own over a city that is called so, and prints."""

    def predict(self, table: Any) -> Any:
        os.write(1, b"hello\n")
        if "child" in set(table["city"]):
            subprocess.Popen(["sleep", "3600"])
        return super().predict(table)


class Short(Sound):
    """Says nothing of a city that is called so."""

    def predict(self, table: Any) -> Any:
        return super().predict(table[table["city"] != "nowhere"])


class Counting(Sound):
    """Says yes so many times, and then comes to grief in its own way."""

    def __init__(self, way: str, sound_calls: int) -> None:
        self.way = way
        self.left = sound_calls

    def predict(self, table: Any) -> Any:
        self.left -= 1
        if self.left >= 0:
            return super().predict(table)
        return _griefs[self.way](len(table))


def _exit(count: int) -> Any:
    os._exit(count)


def _signal(count: int) -> Any:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(3600)


def _leave(count: int) -> Any:
    raise SystemExit(count)


def _refuse(count: int) -> Any:
    raise RuntimeError("no more of this")


def _sleep(count: int) -> Any:
    time.sleep(3600)


def _turn(count: int) -> Any:
    while True:
        count += 1


_griefs: dict[str, Any] = {
    "exits": _exit,
    "is killed": _signal,
    "leaves": _leave,
    "refuses": _refuse,
    "sleeps": _sleep,
    "turns": _turn,
    "says no": lambda count: numpy.full(count, "no", dtype=object),
    "says what no class is called": lambda count: numpy.full(count, "perhaps", dtype=object),
    "says nothing": lambda count: None,
    "says numbers": lambda count: numpy.ones(count),
    "is not a number": lambda count: numpy.full(count, numpy.nan),
    "is infinite": lambda count: numpy.full(count, numpy.inf),
    "says too much": lambda count: numpy.full(count + 1, "yes", dtype=object),
    "says too little": lambda count: numpy.full(count - 1, "yes", dtype=object),
    "says a matrix": lambda count: numpy.full((count, 2), "yes", dtype=object),
    "wants all memory": lambda count: numpy.empty(1 << 50, dtype=numpy.int8),
}


class Reduced:
    """Is made by calling something when it is read."""

    def __init__(self, call: Any, *given: Any) -> None:
        self.made = call, given

    def __reduce__(self) -> Any:
        return self.made
