"""What a server is told: which model, within which limits, and what is kept of its answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from runner.core.serving import Serving, read_serving
from runner.errors import InputError
from runner.values import dataclass, field, replace

KEPT_SECONDS = 3600.0
"""After this time a file of the prediction log is finished."""
SHIPPED_SECONDS = 300.0
"""The same where files go elsewhere: until then they would be lost with the disk of this host."""
_BEYOND_SECONDS = 5.0
NO_CODE = ("skops", "onnx")
"""Formats that run no code when they are read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask of a worker, and what a worker may take; times in seconds, sizes in bytes."""

    body_bytes: int = 16 << 20
    bodies_bytes: int = 128 << 20
    """Of all bodies that are being read or answered at one time."""
    rows: int = 100_000
    """Of one request."""
    connections: int = 1024
    queue: int = 1024
    """Requests that wait for the model; one more is answered with 429."""
    head_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""
    idle_seconds: float = 15.0
    """How long a connection may rest between two requests."""
    request_seconds: float = 30.0
    """From the end of the headers to the answer."""
    batch_rows: int = 64
    """Rows of several requests that the model is asked for at once."""
    batch_seconds: float = 0.0
    """How long the first request waits for others."""
    memory_bytes: int = 0
    """Of a worker's own; 0: no limit."""
    load_seconds: float = 120.0
    """From the start of a worker until it is ready."""
    stuck_seconds: float = 60.0
    """How long one call of the model may take before the worker is replaced."""
    drain_seconds: float = 30.0
    """How long requests may go on on an old worker."""
    deaths: int = 3
    deaths_seconds: float = 600.0
    """A version whose worker dies so often within so many seconds gives way to the one that served before it."""


def with_timeout(limits: Limits, seconds: float) -> Limits:
    """The same, with so long for each request: neither a swap nor a long call of the model ends it before."""
    return replace(
        limits,
        request_seconds=seconds,
        drain_seconds=max(limits.drain_seconds, seconds),
        stuck_seconds=max(limits.stuck_seconds, seconds + _BEYOND_SECONDS),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The prediction log: where, how much, and which columns."""

    folder: str
    sample: float = 1.0
    """Share of the requests that is kept."""
    drop: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    """Columns of which an HMAC-SHA256 is kept in place of the value."""
    file_bytes: int = 64 << 20
    file_seconds: float = KEPT_SECONDS
    files: int = 0
    """How many files stay, the newest; 0: all."""
    to: str = ""
    """The address where finished files are taken to; empty: they stay in the folder."""
    format: str = "jsonl"
    space_bytes: int = 1 << 30
    """Of files that wait for the address."""


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """The access log: where, and how much."""

    file: str
    """`-` is standard output."""
    sample: float = 1.0
    """Share of the requests that is kept."""


@dataclass(frozen=True, slots=True)
class ExplainSettings:
    """How single predictions are explained, and how much work that may be."""

    method: str = "auto"
    rows: int = 16
    evaluations: int = 4096
    """Rows that the model is asked about for one explained row."""
    background: int = 100
    """Rows of the training data that stand for what is not known."""
    seconds: float = 10.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """One model to serve, and who says so."""

    folder: str
    name: str
    version: str = "1"
    digest: str | None = None
    """SHA-256 that manifest.json must have; None where nobody knows one."""
    formats: tuple[str, ...] = ("skops",)
    trusted: tuple[str, ...] = ()
    """Types that may be made beside those that the runner knows."""
    strict: bool = False
    """Whether values outside of what was seen in training are refused."""
    extra: bool = False
    """Whether columns that the model does not know are left out; else they are refused."""
    url: str = "http://127.0.0.1:8080"
    """Where it is reached, for calls to copy."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else `/status` says of it, such as the release that it belongs to."""


@dataclass(frozen=True, slots=True)
class Vacancy:
    """Why there is no model to serve."""

    state: str
    """For `/status`."""
    why: str
    status: int = 503
    """What a request for predictions is answered with: 404 where nothing is served any more."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a worker is started with."""

    served: Served
    limits: Limits = field(default_factory=Limits)
    log: LogSettings | None = None
    access: AccessSettings | None = None
    explain: ExplainSettings | None = None
    workers: int = 1
    """Processes that serve the model, each by itself."""
    network: bool = False
    """Whether the model keeps the network."""
    vacancy: Vacancy | None = None
    """Where it is to say that there is no model, and is given none."""


def settings_from(stated: Mapping[str, Any], served: Served, place: str = "serving", folder: str = "") -> Settings:
    """What the `serving` of a release asks of a server. served: the model, without what is said of it here.

    place: where `stated` stands, for errors. folder: for files of the prediction log that wait for their address.
    Raises InputError, which names the first field that is wrong, and how many are.
    """
    told, faults = read_serving(stated)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        text = f"{place}.{'.'.join(faults[0].path)}: {faults[0].message}{more}"
        raise InputError(text, f"{faults[0].hint}; change it in the Deployment, or use a newer server")
    numbers = told.numbers
    body = int(numbers["limits", "body"])
    return Settings(
        served=replace(served, formats=told.formats or NO_CODE, trusted=told.types, strict=told.strict),
        limits=with_timeout(
            Limits(
                body_bytes=body,
                bodies_bytes=8 * body,
                rows=int(numbers["limits", "rows"]),
                connections=int(numbers["limits", "connections"]),
                queue=int(numbers["limits", "queue"]),
                batch_rows=int(numbers["batching", "rows"]),
                batch_seconds=numbers["batching", "wait"],
                memory_bytes=int(numbers["limits", "memory"]),
            ),
            numbers["limits", "timeout"],
        ),
        log=_log_of(told, folder),
        explain=_explain_of(told),
        workers=int(numbers["replicas",]),
    )


def _log_of(told: Serving, folder: str) -> LogSettings | None:
    if told.log_to is None:
        return None
    far = "://" in told.log_to
    is_shipped = far or told.log_format != "jsonl"
    return LogSettings(
        folder=folder if is_shipped else told.log_to,
        to=(told.log_to if far else f"file://{os.path.abspath(told.log_to)}") if is_shipped else "",
        format=told.log_format,
        file_seconds=SHIPPED_SECONDS if is_shipped else KEPT_SECONDS,
        sample=told.numbers["log", "sample"],
        drop=told.log_drop,
        hashed=told.log_hash,
        files=int(told.numbers["log", "files"]),
        space_bytes=int(told.numbers["log", "space"]),
    )


def _explain_of(told: Serving) -> ExplainSettings | None:
    if not told.explains:
        return None
    numbers = told.numbers
    return ExplainSettings(
        method=told.explain_method,
        rows=int(numbers["explain", "rows"]),
        evaluations=int(numbers["explain", "evaluations"]),
        background=int(numbers["explain", "background"]),
        seconds=numbers["explain", "timeout"],
        seed=int(numbers["explain", "seed"]),
    )


def as_json(settings: Settings) -> dict[str, Any]:
    """For the way to another process."""
    told: dict[str, Any] = asdict(settings)
    return told


def from_json(told: Mapping[str, Any]) -> Settings:
    """The inverse of `as_json()`."""
    served, log, access = told["served"], told["log"], told["access"]
    explain, vacancy = told["explain"], told["vacancy"]
    return Settings(
        served=Served(**{**served, "formats": tuple(served["formats"]), "trusted": tuple(served["trusted"])}),
        limits=Limits(**told["limits"]),
        log=log and LogSettings(**{**log, "drop": tuple(log["drop"]), "hashed": tuple(log["hashed"])}),
        vacancy=vacancy and Vacancy(**vacancy),
        access=access and AccessSettings(**access),
        explain=explain and ExplainSettings(**explain),
        workers=told["workers"],
        network=told["network"],
    )
