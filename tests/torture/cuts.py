"""Cut the connection that pushes results after every single byte, in both directions, and look whether all is well.

    python -m tests.torture.cuts --jobs 2

A runner is killed when its results are in the journal and its state commit is made; then the next one publishes them,
and is cut off. From there the world is put back for each byte, so that what is cut is always the same push: up to N
bytes of it reach the server, or up to N bytes of the answer come back, which is how an acknowledgement gets lost. Then
there is peace, and every rule of `tests/invariants.py` is looked after.

`--into FILE` keeps what was tried, and what is there already is not tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from tests.reconcile.worlds import STATE
from tests.repositories import git
from tests.torture.lines import Line, line_of, push_of_results
from tests.torture.stories import Story

STAGE = """\
stages:
  one:
    cmd: cat in > one
    deps: [in]
    outs: [one]
"""
MORE_BYTES = 24
"""A push is not to the byte as long as the one before: times and names of reconciles are others."""

Place = tuple[str, int]
"""Direction and byte."""


@dataclass(frozen=True)
class Template:
    """A world whose next reconcile pushes results over connection `number`, and a copy to put it back from."""

    line: Line
    story: Story
    number: int
    sizes: dict[str, int]

    def put_back(self) -> Line:
        """The world as it was, and what was seen of it by then."""
        folder = self.story.world.folder
        shutil.rmtree(folder)
        shutil.copytree(_kept(folder), folder, symlinks=True)
        return replace(self.line, story=deepcopy(self.story))

    def places(self, every: int) -> list[Place]:
        """Every place to cut at; `every` leaves some out."""
        ways = (("down", self.sizes["down"]), ("up", self.sizes["up"] + MORE_BYTES))
        return [(way, place) for way, size in ways for place in range(0, size + 1, every)]


def _kept(folder: Path) -> Path:
    return folder.with_name("kept")


@contextlib.contextmanager
def template(folder: Path) -> Iterator[Template]:
    """Make such a world below a folder."""
    story = Story.begin(folder / "story", STAGE)
    with line_of(story, folder / "line") as line:
        assert line.reconcile().status == 0
        story.edit()
        assert line.reconcile(points="push-begun=kill").was_killed
        shutil.copytree(story.world.folder, _kept(story.world.folder), symlinks=True)
        before = deepcopy(story)
        line.fault()
        assert line.reconcile().status == 0
        yield Template(line, before, *push_of_results(line))


def cut(made: Template, place: Place) -> list[str]:
    """What is wrong after a cut there."""
    line = made.put_back()
    line.fault(connection=made.number, way=place[0], bytes=place[1], how="cut")
    try:
        before = line.story.world.tip()
        ended = line.reconcile()
        went_well = ended.status == line.story.status_in_peace
        untold = set(_made_since(line.story, before)) - set(ended.value["commits"]) if went_well else set()
        wrong = [f"the commit {commit} was made, and its runner did not say so" for commit in sorted(untold)]
        return [*wrong, *line.peace(went_well=went_well)]
    except Exception:  # noqa: BLE001 - whatever goes wrong is told with its place
        return traceback.format_exc().splitlines()


def _made_since(story: Story, before: str | None) -> list[str]:
    """State commits since one of them."""
    return git(story.world.remote, "rev-list", "--first-parent", f"{before}..{STATE}").splitlines()


def _some(task: tuple[int, int, int, set[Place]]) -> Iterator[tuple[Place, list[str]]]:
    """The cuts of one of so many workers."""
    worker, workers, every, done = task
    folder = Path(tempfile.mkdtemp(prefix="cuts-"))
    try:
        with template(folder) as made:
            for place in made.places(every)[worker::workers]:
                if place not in done:
                    yield place, cut(made, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work(task: tuple[int, int, int, set[Place]], told: multiprocessing.Queue[tuple[Place, list[str]] | None]) -> None:
    try:
        for found in _some(task):
            told.put(found)
    finally:
        told.put(None)


def cuts(workers: int, every: int, done: set[Place]) -> Iterator[tuple[Place, list[str]]]:
    """Every cut as it is tried, on so many processes with worlds of their own."""
    context = multiprocessing.get_context("fork")
    told: multiprocessing.Queue[tuple[Place, list[str]] | None] = context.Queue()
    tasks = [(worker, workers, every, done) for worker in range(workers)]
    running = [context.Process(target=_work, args=(task, told)) for task in tasks]
    for process in running:
        process.start()
    left = workers
    while left:
        found = told.get()
        if found is None:
            left -= 1
        else:
            yield found
    for process in running:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a worker ended with {process.exitcode}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="cuts at the same time")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="after every so many bytes (default: 1)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="add results here, and go on from what is there")
    arguments = parser.parse_args()
    began = time.monotonic()
    tried: dict[Place, list[str]] = {}
    if arguments.into is not None and arguments.into.exists():
        for line in arguments.into.read_text().splitlines():
            way, place, wrong = json.loads(line)
            tried[way, place] = wrong
    for (way, place), wrong in cuts(arguments.jobs, arguments.every, set(tried)):
        tried[way, place] = wrong
        if arguments.into is not None:
            with open(arguments.into, "a") as file:
                file.write(json.dumps([way, place, wrong]) + "\n")
        if len(tried) % 100 == 0:
            print(f"{time.monotonic() - began:7.0f} s  {len(tried)} cuts", file=sys.stderr, flush=True)
        for text in wrong:
            print(f"cut {way} after byte {place}: {text}", flush=True)
    ways = ", ".join(f"{sum(1 for known, _ in tried if known == way)} {way}" for way in ("up", "down"))
    broken = sorted(place for place, wrong in tried.items() if wrong)
    outcome = f"VIOLATED at {broken}" if broken else "no rule broken"
    print(f"{len(tried)} cuts ({ways}): {outcome}; {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
