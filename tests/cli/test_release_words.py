"""What people read of releases, word for word: what would be released, what is held and refused, and what is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.golden_text import matches_golden
from tests.reconcile.test_releases import DEPLOYMENT, PIPELINE, files
from tests.reconcile.worlds import World

STAGED = """\
  approvals: [{role: risk, count: 2}]
  environments:
    - {name: staging, spec: {approvals: []}}
    - {name: production, from: staging, requires: {soak: 24h}}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.create(tmp_path / "world", files(0.8, "one"), dvc=True)


def said(world: World, name: str, *words: str, ok: tuple[int, ...] = (0,)) -> None:
    done = world.runner(*words, ok=ok)
    matches_golden(f"release-{name}", done.stdout + done.stderr, {})


def test_what_is_said_of_releases_is_what_the_golden_files_say(world: World) -> None:
    said(world, "first", "reconcile", "--jobs", "1")
    world.edit(files(0.5, "two"))
    said(world, "refused", "reconcile", "--jobs", "1", ok=(3,))
    said(world, "gate", "gate", ok=(3,))
    world.edit({**files(0.9, "three"), "runner.yaml": PIPELINE + DEPLOYMENT + STAGED})
    world.runner("reconcile", "--json", ok=(6,))
    said(world, "held", "reconcile", ok=(6,))
    said(world, "plan", "plan")
    said(world, "status", "status")
