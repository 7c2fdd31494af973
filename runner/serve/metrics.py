"""What a worker counts, as plain numbers on the loop's thread; Prometheus' own library writes them down when asked.

A server has one or more workers, and a scrape meets one of them. So numbers travel as JSON, and are added up: of all
workers, and of those that are gone, so that a swap or a death makes no counter smaller.
"""

from __future__ import annotations

import os
import re
import resource
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096)
_BEGAN = time.time()
_MOST_NAMES = 2000
_MOST = 1e300
"""No number of a worker is as large, nor is one that is none; what others count is added to it."""
_NAMES = {
    "counts": re.compile(r"[a-z_]{1,80}"),
    "gauges": re.compile(r"[a-z_]{1,80}"),
    "requests": re.compile(r"[A-Za-z]{1,8} [!-~]{1,80} [0-9]{3}"),
    "histograms": re.compile(
        r"prediction_batch_rows|prediction_duration_seconds|http_request_duration_seconds [!-~]{1,80}"
    ),
}
"""What workers count, and how it is called."""

Numbers = dict[str, Any]
"""`counts` and `gauges` by name; `requests` by method, route and status in one text; `histograms` by name and route:
the sum, then a count for each bucket."""


class Histogram:
    """Counts by upper bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def numbers(self) -> list[float]:
        """The sum, then a count for each bucket."""
        return [self.total, *self.counts]


class Metrics:
    """The numbers of one worker."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        """By method, route and status."""
        self.durations: dict[str, Histogram] = {}
        """By route, in seconds."""
        self.in_flight = 0
        self.queue_depth = 0
        self.predictions = 0
        self.model_errors = 0
        self.not_finite = 0
        self.batch_rows = Histogram(_ROWS)
        self.model_seconds = Histogram(_SECONDS)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request is answered."""
        key = (method, route, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        durations = self.durations.get(route)
        if durations is None:
            durations = self.durations[route] = Histogram(_SECONDS)
        durations.add(seconds)

    def predicted(self, rows: int, seconds: float) -> None:
        """One call of the model is done."""
        self.predictions += rows
        self.batch_rows.add(rows)
        self.model_seconds.add(seconds)

    def numbers(self, more: Mapping[str, float]) -> Numbers:
        """All of them as they are now. more: counters by name that others keep."""
        return {
            "counts": {
                "predictions": self.predictions,
                "prediction_errors": self.model_errors,
                "predictions_not_finite": self.not_finite,
                "process_cpu_seconds": _cpu_seconds(),
                **more,
            },
            "gauges": {
                "http_requests_in_flight": self.in_flight,
                "prediction_queue_depth": self.queue_depth,
                "server_workers": 1,
                "process_resident_memory_bytes": _resident_bytes(),
                "process_open_fds": len(os.listdir("/proc/self/fd")),
            },
            "requests": {f"{method} {route} {status}": n for (method, route, status), n in self.requests.items()},
            "histograms": {
                "prediction_batch_rows": self.batch_rows.numbers(),
                "prediction_duration_seconds": self.model_seconds.numbers(),
                **{f"http_request_duration_seconds {route}": one.numbers() for route, one in self.durations.items()},
            },
        }


def merged(parts: Iterable[Numbers]) -> Numbers:
    """The sum of several workers' numbers."""
    made: Numbers = {"counts": {}, "gauges": {}, "requests": {}, "histograms": {}}
    for part in parts:
        for kind in ("counts", "gauges", "requests"):
            sums = made[kind]
            for name, value in part[kind].items():
                sums[name] = sums.get(name, 0) + value
        histograms = made["histograms"]
        for name, values in part["histograms"].items():
            before = histograms.get(name)
            histograms[name] = values if before is None else [a + b for a, b in zip(before, values, strict=True)]
    return made


def checked(found: Any) -> Numbers:
    """What a worker says that it counted; raises ValueError for what is nothing of that kind."""
    if not isinstance(found, dict) or found.keys() != _NAMES.keys():
        raise ValueError("these are no numbers of a worker")
    for kind, inside in found.items():
        if not isinstance(inside, dict) or len(inside) > _MOST_NAMES:
            raise ValueError(f"{kind} of a worker have to be numbers by name")
        for name, value in inside.items():
            if not _NAMES[kind].fullmatch(name):
                raise ValueError(f"{name[:80]}: no name of {kind}")
            bounds = _ROWS if name == "prediction_batch_rows" else _SECONDS
            values = value if kind == "histograms" else [value]
            if kind == "histograms" and (not isinstance(values, list) or len(values) != len(bounds) + 2):
                raise ValueError(f"{name[:80]}: no histogram of a worker")
            if any(type(one) not in (int, float) or not abs(one) < _MOST for one in values):
                raise ValueError(f"{name[:80]}: no number of a worker")
    return found


def of_the_gone(numbers: Numbers) -> Numbers:
    """What stays of a worker that is no more: what it counted."""
    return {**numbers, "gauges": {}}


def page(numbers: Numbers, info: Mapping[str, str] | None, more: Mapping[str, float]) -> tuple[bytes, str]:
    """The text for Prometheus, and its content type.

    info: labels of `model_info`, None without a model. more: gauges that are the server's, and no worker's.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(numbers, info, more))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    def __init__(self, numbers: Numbers, info: Mapping[str, str] | None, more: Mapping[str, float]) -> None:
        self._numbers = {**numbers, "gauges": {**numbers["gauges"], **more}}
        self._info = info

    def describe(self) -> Iterable[Any]:
        """Nothing is fixed beforehand."""
        return ()

    def collect(self) -> Iterable[Any]:
        """All metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily("http_requests", "Requests answered.", labels=("method", "route", "status"))
        for name, count in self._numbers["requests"].items():
            requests.add_metric(tuple(name.split(" ")), count)
        yield requests
        durations = HistogramMetricFamily(
            "http_request_duration_seconds", "From the end of the headers to the answer.", labels=("route",)
        )
        for name, values in self._numbers["histograms"].items():
            own, _, route = name.partition(" ")
            bounds = _ROWS if own == "prediction_batch_rows" else _SECONDS
            if route:
                durations.add_metric((route,), _buckets(bounds, values), values[0])
            else:
                yield HistogramMetricFamily(own, _TEXTS[own], _buckets(bounds, values), values[0])
        yield durations
        for name, value in self._numbers["gauges"].items():
            yield GaugeMetricFamily(name, _TEXTS.get(name, name), value)
        for name, value in self._numbers["counts"].items():
            yield CounterMetricFamily(name, _TEXTS.get(name, name), value)
        yield GaugeMetricFamily("process_start_time_seconds", "When this worker began, since 1970.", _BEGAN)
        if self._info is None:
            return
        info = GaugeMetricFamily("model_info", "The model that is served.", labels=tuple(self._info))
        info.add_metric(tuple(self._info.values()), 1)
        yield info


def _buckets(bounds: tuple[float, ...], values: list[float]) -> list[tuple[str, float]]:
    """As Prometheus has them: each bound with all that is not above it."""
    made, count = [], 0.0
    for bound, here in zip((*bounds, float("inf")), values[1:], strict=True):
        count += here
        made.append(("+Inf" if bound == float("inf") else repr(float(bound)), count))
    return made


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


_TEXTS = {
    "predictions": "Rows predicted.",
    "prediction_errors": "Calls that the model ended with an error.",
    "predictions_not_finite": "Predictions that are no finite number.",
    "prediction_log_rows": "Rows written to the prediction log.",
    "prediction_log_dropped_rows": "Rows that the prediction log had no room for.",
    "release_last_check_success_timestamp_seconds": "When git was last asked with success what is released.",
    "release_last_check_successful": "Whether git was asked with success the last time.",
    "release_checks_failed": "How often git was asked in vain.",
    "release_version": "The version of the release that is served; 0 for none.",
    "release_failed": "Whether the newest release could not be fetched or loaded.",
    "prediction_log_shipped_files": "Files of the prediction log that are where they are wanted.",
    "prediction_log_lost_files": "Files of the prediction log that took more disk than they may.",
    "prediction_log_waiting_bytes": "Files of the prediction log that wait to be shipped.",
    "access_log_lines": "Lines written to the access log.",
    "access_log_dropped_lines": "Lines that the access log had no room for.",
    "explanations": "Rows explained.",
    "prediction_batch_rows": "Rows in one call of the model.",
    "prediction_duration_seconds": "One call of the model.",
    "process_cpu_seconds": "Time of processors that the workers took.",
    "process_resident_memory_bytes": "Memory of the workers; what they share is counted for each.",
    "process_open_fds": "Files that the workers hold open.",
    "http_requests_in_flight": "Requests that are being answered.",
    "prediction_queue_depth": "Requests that wait for the model.",
    "server_workers": "Workers that answered this scrape.",
}
