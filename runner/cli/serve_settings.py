"""What the options of `runner serve` say of limits, log and workers: over what a release says, or over the defaults."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any

from runner.serve.settings import (
    KEPT_SECONDS,
    SHIPPED_SECONDS,
    AccessSettings,
    ExplainSettings,
    LogSettings,
    Settings,
    with_timeout,
)
from runner.serve.shipping import check_address
from runner.values import replace

MOST_WORKERS = 64
_LIMITS = (
    ("max_connections", "connections", 1),
    ("max_queue", "queue", 1),
    ("max_rows", "rows", 1),
    ("max_memory", "memory_bytes", 1 << 20),
    ("batch_rows", "batch_rows", 1),
    ("batch_wait", "batch_seconds", 1),
)
"""Option, field of the limits, and what one of the option is of the field."""


def with_options(settings: Settings, arguments: argparse.Namespace) -> Settings:
    """Settings with what the options say in place of what stands there."""
    limits: dict[str, Any] = {
        field: getattr(arguments, option) * unit
        for option, field, unit in _LIMITS
        if getattr(arguments, option) is not None
    }
    if arguments.max_body is not None:
        limits |= {"body_bytes": arguments.max_body << 20, "bodies_bytes": arguments.max_body << 23}
    served, bounds = settings.served, replace(settings.limits, **limits)
    return replace(
        settings,
        served=replace(
            served,
            formats=tuple(dict.fromkeys([*served.formats, *arguments.allow_format])),
            trusted=tuple(dict.fromkeys([*served.trusted, *arguments.trusted])),
            strict=served.strict or arguments.strict,
            extra=arguments.extra_columns == "ignore",
        ),
        limits=bounds if arguments.timeout is None else with_timeout(bounds, arguments.timeout),
        log=_log(settings.log, arguments),
        access=_access(arguments),
        explain=settings.explain or (ExplainSettings() if arguments.explain else None),
        network=arguments.model_network,
        workers=min(arguments.workers or settings.workers, MOST_WORKERS),
    )


def _access(arguments: argparse.Namespace) -> AccessSettings | None:
    file = arguments.access_log
    if file is None:
        return None
    if file != "-":
        file = str((Path(arguments.folder or ".") / file).absolute())
    sample = arguments.access_log_sample
    return AccessSettings(file, 1.0 if sample is None else sample)


def _log(log: LogSettings | None, arguments: argparse.Namespace) -> LogSettings | None:
    """The prediction log; what is dropped or hashed by a release stays so."""
    form = arguments.log_format or (log.format if log is not None else "jsonl")
    if arguments.log is not None:
        log = _placed(log or LogSettings(""), arguments.log, arguments.folder, form)
    elif log is not None and form != log.format:
        log = _placed(log, log.to.removeprefix("file://") or log.folder, None, form)
    if log is None:
        return None
    asked: dict[str, Any] = {"sample": arguments.log_sample, "files": arguments.log_files}
    dropped = dict.fromkeys([*log.drop, *arguments.log_drop])
    if log.to:
        check_address(log.to, log.format)
        asked["folder"] = arguments.log_spool or log.folder or _spool(log.to)
    return replace(
        log,
        **{name: value for name, value in asked.items() if value is not None},
        drop=tuple(dropped),
        hashed=tuple(name for name in dict.fromkeys([*log.hashed, *arguments.log_hash]) if name not in dropped),
    )


def _placed(log: LogSettings, where: str, folder: str | None, form: str) -> LogSettings:
    """The log at another place, or in another format."""
    if "://" not in where:
        where = str((Path(folder or ".") / where).absolute())
        if form == "jsonl":
            return replace(log, folder=where, to="", format=form, file_seconds=KEPT_SECONDS)
        where = f"file://{where}"
    return replace(log, folder="", to=where, format=form, file_seconds=SHIPPED_SECONDS)


def _spool(address: str) -> str:
    """Where files wait for an address, which is not where everything can be made again."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    return str(Path(state).expanduser() / "gitops-runner" / "predictions" / name)
