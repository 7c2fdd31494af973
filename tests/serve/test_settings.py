"""What a release says to a server becomes its settings, and the command line stands above it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from runner.cli.serve_options import add_serve_options
from runner.cli.serve_settings import with_options
from runner.errors import InputError
from runner.serve.settings import (
    ExplainSettings,
    Limits,
    LogSettings,
    Served,
    Settings,
    as_json,
    from_json,
    settings_from,
)

SERVED = Served("/models/churn", "churn", "3")
STATED = {
    "formats": ["skops", "joblib"],
    "types": ["a.B"],
    "strict": True,
    "replicas": 2,
    "batching": {"rows": 8, "wait": "2ms"},
    "limits": {"rows": 10, "body": "1Mi", "queue": 5, "connections": 7, "timeout": "2s", "memory": "1Gi"},
    "log": {"to": "s3://b/f", "format": "parquet", "sample": 0.5, "drop": ["a"], "hash": ["b"], "space": "2Mi"},
    "explain": {"method": "sampling", "rows": 3, "timeout": 4},
    "target": {"server": {}},
    "resources": {"memory": "4Gi"},
}


def test_all_that_a_release_says_reaches_the_settings() -> None:
    found = settings_from(STATED, SERVED, folder="/spool")
    served = Served("/models/churn", "churn", "3", formats=("skops", "joblib"), trusted=("a.B",), strict=True)
    assert found == Settings(
        served,
        Limits(
            rows=10, body_bytes=1 << 20, bodies_bytes=8 << 20, queue=5, connections=7, request_seconds=2.0,
            memory_bytes=1 << 30, batch_rows=8, batch_seconds=0.002,
        ),
        LogSettings(
            "/spool", to="s3://b/f", format="parquet", sample=0.5, drop=("a",), hashed=("b",), space_bytes=2 << 20,
            file_seconds=300.0,
        ),
        explain=ExplainSettings("sampling", rows=3, seconds=4.0),
        workers=2,
    )  # fmt: skip
    assert from_json(as_json(found)) == found


def test_a_release_that_says_nothing_gets_the_defaults_and_no_format_that_runs_code() -> None:
    found = settings_from({"log": False, "explain": False}, SERVED)
    assert found == Settings(Served("/models/churn", "churn", "3", formats=("skops", "onnx")))
    assert settings_from({"explain": True}, SERVED).explain == ExplainSettings()


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"limits": {"row": 1}}, "serving.limits.row: `limits.row` is not known"),
        ({"limits": {"timeout": "0s"}}, "`limits.timeout` has to be a time from 0.01 s to 3600 s, not `0s`"),
        ({"limits": {"memory": "1Ki"}}, "`limits.memory` has to be an amount from 64Mi to 1Pi, not `1Ki`"),
        ({"limits": {"rows": True}}, "`limits.rows` has to be a whole number from 1 to 10000000, not `True`"),
        ({"limits": []}, "`limits` has to be a mapping"),
        ({"replicas": 65}, "`replicas` has to be a whole number from 1 to 64, not `65`"),
        ({"log": {}}, "serving.log: `log` does not say where to"),
        ({"log": {"to": "x", "drop": ["a"], "hash": ["a"]}}, "the column `a` is to be dropped and hashed"),
        ({"explain": {"method": "magic"}}, "`explain.method` has to be one of auto, linear, sampling"),
        ({"types": "a.B"}, "`types` has to be a list of texts"),
    ],
)
def test_what_no_server_can_do_is_told_with_its_place(stated: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=r"serving\.") as caught:
        settings_from(stated, SERVED)
    assert said in str(caught.value)


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_serve_options(parser)
    arguments = parser.parse_args(given)
    arguments.folder = None
    return arguments


def test_the_command_line_stands_above_a_release(tmp_path: Path) -> None:
    stated = settings_from({**STATED, "log": {"to": "/var/log", "drop": ["a"], "sample": 0.5}}, SERVED)
    assert with_options(stated, options()) == stated
    given = "--max-body 2 --max-rows 4 --batch-wait 5ms --timeout 1m --trusted c.D --log-hash a --log-hash e"
    found = with_options(stated, options(*given.split(), "--log", str(tmp_path)))
    assert found.served.trusted == ("a.B", "c.D")
    assert (found.limits.body_bytes, found.limits.rows, found.limits.queue) == (2 << 20, 4, 5)
    assert (found.limits.batch_seconds, found.limits.request_seconds) == (0.005, 60.0)
    assert found.log == LogSettings(str(tmp_path), sample=0.5, drop=("a",), hashed=("e",))


def test_a_request_that_may_take_long_is_cut_off_by_neither_a_swap_nor_a_long_call() -> None:
    stated = settings_from({"limits": {"timeout": "5m"}}, SERVED)
    for limits in (stated.limits, with_options(Settings(SERVED), options("--timeout", "5m")).limits):
        assert (limits.request_seconds, limits.drain_seconds) == (300.0, 300.0)
        assert limits.stuck_seconds > 300.0
