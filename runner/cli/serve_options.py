"""The options of `runner serve`, which has many: each is a row."""

from __future__ import annotations

import argparse
from typing import Any


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """All of them but those of every command."""
    for title, rows in _GROUPS:
        group = parser.add_argument_group(title)
        for option, metavar, default, kind, help_ in rows:
            more: dict[str, Any] = {"type": kind} if kind is not list else {"action": "append", "default": []}
            if kind is not list:
                more["default"] = default
            group.add_argument(option, metavar=metavar, help=help_, **more)
    choices = parser.add_argument_group("what is answered and refused")
    choices.add_argument(
        "--extra-columns",
        choices=("refuse", "ignore"),
        default="refuse",
        help="columns that the model does not know: refuse the request (default), or leave them out",
    )
    choices.add_argument(
        "--model-network", action="store_true", help="leave the network to the model, which it needs for nothing here"
    )
    choices.add_argument("--explain", action="store_true", help="also explain predictions, at /explain")
    choices.add_argument(
        "--strict", action="store_true", help="refuse also what lies outside of what was seen in training"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 <= int(text) <= 10**6:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1000000")
    return int(text)


def _some(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("0 would be none at all")
    return _count(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return value


def _log_format(text: str) -> str:
    if text not in ("jsonl", "parquet"):
        raise argparse.ArgumentTypeError(f"{text} is no format of the log; there are jsonl and parquet")
    return text


def _time(text: str) -> float:
    value = _seconds(text)
    if value is None or not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is no time; say 30s")
    return value


def _wait(text: str) -> float:
    value = _seconds(text)
    if value is None or value > 1:
        raise argparse.ArgumentTypeError(f"{text} is no time of at most one second; say 2ms")
    return value


def _seconds(text: str) -> float | None:
    from runner.core.units import seconds_of  # imported late: the help needs nothing of it

    return seconds_of(float(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else text)


_GROUPS: Any = (
    (
        "the model",
        (
            ("--model", "FOLDER", None, str, "the model folder, as the stage `train` writes it"),
            ("--name", "NAME", None, str, "its name in addresses (default: that of the folder)"),
            ("--model-version", "VERSION", "1", str, "its version in addresses and answers (default: 1)"),
            ("--digest", "SHA256", None, str, "the SHA-256 that its manifest.json must have"),
            ("--allow-format", "FORMAT", None, list, "a format to read beside skops, such as joblib; may be repeated"),
            ("--trusted", "TYPE", None, list, "a type that a model may hold beside the known ones; may be repeated"),
        ),
    ),
    (
        "what is released",
        (
            ("--repo", "URL", None, str, "follow this repository, and serve what is released there"),
            ("--deployment", "NAME", None, str, "of this Deployment (default: the only one)"),
            ("--environment", "NAME", "production", str, "in this environment (default: production)"),
            ("--branch", "NAME", None, str, "the watched branch, where it is not the project's first one"),
            ("--every", "TIME", 10.0, _time, "how often the repository is asked, such as 1m (default: 10s)"),
            ("--trust", "FILE", None, str, "trust file: releases have to be signed by who may (default: RUNNER_TRUST)"),
            ("--accept-state", "SHA", None, str, "go on from a state branch that was rewritten: its commit, or none"),
        ),
    ),
    (
        "where and how much",
        (
            ("--listen", "ADDRESS:PORT", "127.0.0.1:8080", str, "default: 127.0.0.1:8080; port 0 takes a free one"),
            ("--grpc", "ADDRESS:PORT", None, str, "also speak gRPC there, as the Open Inference Protocol has it"),
            ("--workers", "N", None, _some, "processes that serve the model (default: 1)"),
            ("--max-body", "MIB", None, _some, "largest body of a request, in MiB (default: 16)"),
            ("--max-connections", "N", None, _some, "connections at a time (default: 1024)"),
            ("--max-queue", "N", None, _some, "requests that wait for the model (default: 1024)"),
            ("--timeout", "TIME", None, _time, "for each request, such as 10s (default: 30s)"),
            ("--max-rows", "N", None, _some, "rows of one request (default: 100000)"),
            ("--max-memory", "MIB", None, _some, "memory of a worker's own, in MiB (default: no limit)"),
            ("--batch-rows", "N", None, _some, "rows of several requests that are predicted at once (default: 64)"),
            ("--batch-wait", "TIME", None, _wait, "how long a request waits for others, such as 2ms (default: 0)"),
        ),
    ),
    (
        "the access log",
        (
            ("--access-log", "FILE", None, str, "keep a line of JSON for each request; - is standard output"),
            ("--access-log-sample", "SHARE", None, _share, "share of the requests that is kept (default: 1)"),
        ),
    ),
    (
        "the prediction log",
        (
            ("--log", "FOLDER", None, str, "keep rows and predictions there; or an address, such as s3://BUCKET/FOLDER"),
            ("--log-format", "FORMAT", None, _log_format, "jsonl or parquet (default: jsonl)"),
            ("--log-spool", "FOLDER", None, str, "where files wait for their address (default: below ~/.local/state)"),
            ("--log-sample", "SHARE", None, _share, "share of the requests that is kept, from 0 to 1 (default: 1)"),
            ("--log-drop", "COLUMN", None, list, "a column that is not kept; may be repeated"),
            ("--log-hash", "COLUMN", None, list, "a column of which only a keyed hash is kept; may be repeated"),
            ("--log-key", "FILE", None, str, "the key of these hashes"),
            ("--log-files", "N", None, _count, "how many finished files stay, the newest (default: all)"),
        ),
    ),
)  # fmt: skip
