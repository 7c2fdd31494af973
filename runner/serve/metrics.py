"""What a worker counts, as plain numbers on the loop's thread; Prometheus' own library writes them down when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096)


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

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: each bound with all that is not above it."""
        made, count = [], 0
        for bound, here in zip((*self.bounds, float("inf")), self.counts, strict=True):
            count += here
            made.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(count)))
        return made


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

    def registry(
        self,
        info: Mapping[str, str] | None,
        more: Callable[[], Mapping[str, float]],
        gauges: Callable[[], Mapping[str, float]] = dict,
    ) -> CollectorRegistry:
        """What `/metrics` writes down.

        info: labels of `model_info`, None without a model; more: numbers by name that others count; gauges: numbers
        that go up and down.
        """
        from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

        made = CollectorRegistry()
        ProcessCollector(registry=made)
        GCCollector(registry=made)
        made.register(_Collector(self, info, more, gauges))
        return made


class _Collector:
    def __init__(
        self,
        metrics: Metrics,
        info: Mapping[str, str] | None,
        more: Callable[[], Mapping[str, float]],
        gauges: Callable[[], Mapping[str, float]],
    ) -> None:
        self._metrics = metrics
        self._info = info
        self._more = more
        self._gauges = gauges

    def describe(self) -> Iterable[Any]:
        """Nothing is fixed beforehand."""
        return ()

    def collect(self) -> Iterable[Any]:
        """All metrics as they are now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        metrics = self._metrics
        requests = CounterMetricFamily("http_requests", "Requests answered.", labels=("method", "route", "status"))
        for (method, route, status), count in list(metrics.requests.items()):
            requests.add_metric((method, route, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(
            "http_request_duration_seconds", "From the end of the headers to the answer.", labels=("route",)
        )
        for route, histogram in list(metrics.durations.items()):
            durations.add_metric((route,), histogram.buckets(), histogram.total)
        yield durations
        for name, text, histogram in (
            ("prediction_batch_rows", "Rows in one call of the model.", metrics.batch_rows),
            ("prediction_duration_seconds", "One call of the model.", metrics.model_seconds),
        ):
            yield HistogramMetricFamily(name, text, histogram.buckets(), histogram.total)
        for name, text, value in (
            ("http_requests_in_flight", "Requests that are being answered.", metrics.in_flight),
            ("prediction_queue_depth", "Requests that wait for the model.", metrics.queue_depth),
        ):
            yield GaugeMetricFamily(name, text, value)
        counted: dict[str, float] = {
            "predictions": metrics.predictions,
            "prediction_errors": metrics.model_errors,
            "predictions_not_finite": metrics.not_finite,
            **self._more(),
        }
        for name, number in counted.items():
            yield CounterMetricFamily(name, _TEXTS.get(name, name), number)
        for name, number in self._gauges().items():
            yield GaugeMetricFamily(name, _TEXTS.get(name, name), number)
        if self._info is None:
            return
        info = GaugeMetricFamily("model_info", "The model that is served.", labels=tuple(self._info))
        info.add_metric(tuple(self._info.values()), 1)
        yield info


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
}
