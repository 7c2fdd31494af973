"""The demo works from nothing, and shows what it says it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.workflows import ROOT


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples/demo.py"), str(folder)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@pytest.mark.slow
def test_the_demo_trains_does_nothing_the_second_time_and_repeats_only_what_an_edit_touches(tmp_path: Path) -> None:
    done = demo(tmp_path / "demo")
    assert done.returncode == 0, done.stdout
    assert "Nothing to do" in done.stdout
    assert "roc_auc" in done.stdout
    after_edit = done.stdout.split("git push -q")[1].split("$ runner reconcile")[0]
    assert "train.max_depth" in after_edit
    assert "prepare" not in after_edit.replace("of prepare", "")


def test_the_demo_leaves_a_folder_alone_that_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "name another folder" in done.stdout
    assert (tmp_path / "mine").read_text() == "mine"
