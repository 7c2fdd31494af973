"""Kill a runner thousands of times, in every way there is, and look after each story whether anything was lost.

    python -m tests.torture.torture --kills 10000 --seed 1 --jobs 4

A story is a world of its own: edits by people and attacks, one after the other, then peace, and then every rule of
`tests/invariants.py` is looked after. Each attack is drawn from the seed, the number of its story and its own number,
whatever else runs beside it: `--seed 1 --from 17 --until 18` plays story 17 again. Attacks at failpoints and system
calls replay exactly; those by the clock aim at the same part of a reconcile, and hit what is there at that moment.

A kill is one SIGKILL that ended a runner: it was alive, and the kernel says that this signal ended it. Errors, children
that were killed and runners that had ended before the signal came are attacks, and no kills.

With `--into FILE` each story leaves a line there; stories that are there already are not played again, so that a long
trial may be done in pieces, and the summary is of all that the file has of this seed.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.torture.attacks import Attack, Pace, can_trace, drawn
from tests.torture.stories import Story

ATTACKS_PER_STORY = 20
TIMED_STORIES = 5
"""One story in so many begins with a reconcile that nobody disturbs; in the others the very first may be killed."""
PACE = Pace()


@dataclass
class Played:
    """What came of one story."""

    seed: int
    story: int
    attacks: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """The attacks, where something was wrong."""


def play(seed: int, number: int, *, traced: bool) -> Played:
    """Play one story; a world in which something is wrong is left where it is, for people to look at."""
    began = time.monotonic()
    attacks: list[Attack] = []
    played = Played(seed, number)
    folder = Path(tempfile.mkdtemp(prefix=f"torture-{seed}-{number}-"))
    try:
        story = Story.begin(folder / "story")
        if number % TIMED_STORIES == 0:
            _timed(story)
        _attacked(story, seed, number, attacks, traced=traced)
        played.wrong = story.peace()
    except Exception:  # noqa: BLE001 - whatever goes wrong is told with the number of its story
        played.wrong = traceback.format_exc().splitlines()
    for attack in attacks:
        played.attacks[attack.kind] = played.attacks.get(attack.kind, 0) + 1
        played.kills[attack.kind] = played.kills.get(attack.kind, 0) + attack.kills
    played.seconds = round(time.monotonic() - began, 2)
    if played.wrong:
        played.wrong.append(f"its world is in {folder}")
        played.done = [f"{attack.kind} {attack.what}{' KILLED' * attack.kills}" for attack in attacks]
    else:
        _remove(folder)
    return played


def _timed(story: Story) -> None:
    began = time.monotonic()
    story.reconcile()
    PACE.heard(time.monotonic() - began)


def _attacked(story: Story, seed: int, number: int, attacks: list[Attack], *, traced: bool) -> None:
    killed = False
    for index in range(ATTACKS_PER_STORY):
        chance = random.Random(f"{seed} {number} {index}")
        if chance.random() < 0.5 or not killed:  # else the next has to recover, and is killed while it does
            story.edit()
        attacks.append(drawn(chance, traced=traced)(story, chance, PACE))
        killed = attacks[-1].kills > 0


def _remove(folder: Path) -> None:
    """Stages may leave folders that are not for writing."""
    import shutil

    shutil.rmtree(folder, onerror=_make_writable)


def _make_writable(function: Callable[[str], object], path: str, _: object) -> None:
    os.chmod(Path(path).parent, 0o700)
    function(path)


def _task(task: tuple[int, int, bool]) -> Played:
    seed, number, traced = task
    return play(seed, number, traced=traced)


def known(file: Path | None, seed: int) -> dict[int, Played]:
    """Stories of this seed that a file has already."""
    if file is None or not file.exists():
        return {}
    rows = (Played(**json.loads(line)) for line in file.read_text().splitlines())
    return {row.story: row for row in rows if row.seed == seed}


def stories(seed: int, numbers: Iterable[int], jobs: int) -> Iterator[Played]:
    """Stories in their order, on so many processes."""
    traced = can_trace()
    tasks = ((seed, number, traced) for number in numbers)
    if jobs == 1:
        yield from map(_task, tasks)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        waiting: collections.deque[multiprocessing.pool.AsyncResult[Played]] = collections.deque()
        for task in tasks:
            waiting.append(pool.apply_async(_task, (task,)))
            while len(waiting) >= 2 * jobs:
                yield waiting.popleft().get()
        while waiting:
            yield waiting.popleft().get()


def _killed(played: Iterable[Played]) -> int:
    return sum(sum(row.kills.values()) for row in played)


def summary(seed: int, played: Iterable[Played]) -> str:
    """What stories came to, in one line."""
    attacks: collections.Counter[str] = collections.Counter()
    kills: collections.Counter[str] = collections.Counter()
    rows = list(played)
    for row in rows:
        attacks.update(row.attacks)
        kills.update(row.kills)
    kinds = ", ".join(f"{kills[kind]} of {count} {kind}" for kind, count in sorted(attacks.items()))
    wrong = [row.story for row in rows if row.wrong]
    kinds += f") in {len(rows)} stories: " + (f"VIOLATED in stories {wrong}" if wrong else "no rule broken")
    return f"seed {seed}: {kills.total()} kills in {attacks.total()} attacks ({kinds}"


def main() -> int:
    """The command line."""
    arguments = _arguments()
    began = time.monotonic()
    done = known(arguments.into, arguments.seed)
    numbers = range(arguments.start, arguments.until if arguments.until is not None else sys.maxsize)

    def to_play() -> Iterator[int]:
        for number in numbers:
            is_late = arguments.seconds is not None and time.monotonic() - began > arguments.seconds
            if is_late or _killed(done.values()) >= arguments.kills:
                return
            if number not in done:
                yield number

    for row in stories(arguments.seed, to_play(), arguments.jobs):
        done[row.story] = row
        if arguments.into is not None:
            with open(arguments.into, "a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        said = f"{_killed(done.values())} kills in {len(done)} stories"
        print(f"{time.monotonic() - began:7.0f} s  {said}", file=sys.stderr, flush=True)
        for line in [*row.wrong, *(f"    {attack}" for attack in row.done)]:
            print(f"story {row.story} of seed {row.seed}: {line}", flush=True)
    rows = [done[number] for number in sorted(done) if number in numbers]
    print(f"{summary(arguments.seed, rows)}; {time.monotonic() - began:.0f} s")
    return 1 if any(row.wrong for row in rows) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kills",
        type=int,
        default=10_000,
        metavar="N",
        help="at least so many kills, in whole stories (10000)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what is drawn from (default: 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="stories at the same time")
    parser.add_argument("--from", type=int, default=0, metavar="STORY", dest="start", help="the first story (0)")
    parser.add_argument("--until", type=int, metavar="STORY", help="the story to stop before")
    parser.add_argument("--seconds", type=float, metavar="N", help="begin no story after so long")
    parser.add_argument("--into", type=Path, metavar="FILE", help="add results here, and go on from what is there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
