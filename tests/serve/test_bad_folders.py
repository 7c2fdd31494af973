"""Bad models, drawn by a seed: none is ever served, and who asks the good one meanwhile notices nothing.

`make bad-models` tries some hundreds (BAD_MODELS) from any seed (SEED), and some of the ways by `runner serve`, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import ExitCode
from runner.serve.settings import Limits, Served, Settings
from tests.serve import bad_files
from tests.serve.bad_folders import WAYS, Bad, Sound, drawn, fits, sound
from tests.serve.servers import PATIENCE, REPOSITORY
from tests.serve.supervised import clients, of, supervised

COUNT = int(os.environ.get("BAD_MODELS", "0"))
SEED = int(os.environ.get("SEED", "1"))
FEW = (
    "truncated", "no_file", "a_link", "a_manifest_with_another_size", "an_archive", "other_weights",
    "a_type_that_nobody_allowed", "a_pickle_that_writes_into_every_pipe", "a_model_that_soon_dies",
    "a_model_that_soon_says_another_thing", "a_graph_that_reads_files",
)  # fmt: skip
"""What is tried each time: one of each kind."""
HUNG_SECONDS = 2.0
assert bad_files


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return sound(tmp_path_factory.mktemp("good"))


def chosen(home: Path, good: Sound) -> list[Bad]:
    """One of each of a few ways, or as many as were asked for."""
    if COUNT:
        return list(drawn(SEED, COUNT, home, good))
    return list(drawn(SEED, len(FEW), home, good, [WAYS[name] for name in FEW]))


def settings_of(bad: Bad) -> Settings:
    return Settings(
        Served(str(bad.folder), "churn", bad.way, **bad.served),
        Limits(load_seconds=HUNG_SECONDS if bad.hangs else 60.0),
    )


def test_no_bad_model_is_ever_served_and_the_old_one_never_interrupted(tmp_path: Path, good: Sound) -> None:
    with supervised() as running:
        running.serve_alone(of(good.skops, "good"))
        first = len(running.events)
        unfit = []
        with clients(running, 4) as answers:
            for bad in chosen(tmp_path, good):
                since = len(running.events)
                running.supervisor.swap(settings_of(bad))
                reason = running.wait_for_one_of(("failed", "ended"), bad.way, since)["reason"]
                if not fits(bad, reason):
                    unfit.append((bad.way, reason))
        assert not unfit, "\n".join(f"{way}: {reason}" for way, reason in unfit)
        assert set(answers) == {(200, b'{"predictions":["yes"]}')}
        assert {event["event"] for event in running.events[first:]} <= {"starting", "failed", "ended", "template died"}
        assert running.status()["pid"] == running.pid


@pytest.mark.skipif(not COUNT, reason="make bad-models")
def test_the_command_says_why_it_does_not_serve_a_bad_model(tmp_path: Path, good: Sound) -> None:
    for number, bad in enumerate(drawn(SEED, len(WAYS), tmp_path, good)):
        if bad.hangs or number % 4:
            continue
        allowed = [f"--allow-format={form}" for form in bad.served.get("formats", ()) if form != "skops"]
        digest = [f"--digest={bad.served['digest']}"] if "digest" in bad.served else []
        command = [sys.executable, "-m", "runner", "serve", "--listen", "127.0.0.1:0", "--model", str(bad.folder)]
        done = subprocess.run(
            [*command, *allowed, *digest],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, timeout=PATIENCE,
            text=True, errors="replace",  # a pickle that may run can write any byte anywhere
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == ExitCode.INPUT, (bad.way, said)
        assert "the model is not served: " in done.stderr, (bad.way, said)
        assert fits(bad, said), (bad.way, said)
        assert ("Traceback" in said) == ("KeyboardInterrupt" in said or "SystemExit" in said), (bad.way, said)
