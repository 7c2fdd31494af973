"""What a server is told: which model, within which limits, and what is kept of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from runner.values import dataclass, field


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
    load_seconds: float = 120.0
    """From the start of a worker until it is ready."""
    stuck_seconds: float = 60.0
    """How long one call of the model may take before the worker is replaced."""
    drain_seconds: float = 30.0


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
    file_seconds: float = 3600.0
    files: int = 0
    """How many files stay, the newest; 0: all."""


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
    vacancy: Vacancy | None = None
    """Where it is to say that there is no model, and is given none."""


def as_json(settings: Settings) -> dict[str, Any]:
    """For the way to another process."""
    told: dict[str, Any] = asdict(settings)
    return told


def from_json(told: Mapping[str, Any]) -> Settings:
    """The inverse of `as_json()`."""
    served, log, vacancy = told["served"], told["log"], told["vacancy"]
    return Settings(
        served=Served(**{**served, "formats": tuple(served["formats"]), "trusted": tuple(served["trusted"])}),
        limits=Limits(**told["limits"]),
        log=log and LogSettings(**{**log, "drop": tuple(log["drop"]), "hashed": tuple(log["hashed"])}),
        vacancy=vacancy and Vacancy(**vacancy),
    )
