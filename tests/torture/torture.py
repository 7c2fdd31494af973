"""Kill a runner thousands of times, in every way there is, and look after each story whether anything was lost.

    python -m tests.torture.torture --kills 10000 --seed 1

Every attack is drawn from the seed. Timed ones hit other places on other machines, so a seed replays what is attacked
and how, not to the last instruction; attacks at failpoints and system calls replay exactly.
"""

from __future__ import annotations

import argparse
import collections
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from runner import failpoints
from tests.torture.forked import Ended
from tests.torture.stories import Story

MUTATING = (
    "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,mkdir,mkdirat,rmdir,fsync,fdatasync,"
    "syncfs,ftruncate,mount,umount2"
)
ERRORS = ("ENOSPC", "EIO", "EMFILE", "EDQUOT", "EACCES")
ATTACKS_PER_STORY = 12


def at_a_failpoint(story: Story, chance: random.Random) -> str:
    """Killed at the Nth time a failpoint is reached."""
    name, number = chance.choice(list(failpoints.NAMES)), chance.choice([1, 1, 1, 2, 3])
    story.reconcile(points=f"{name}=kill@{number}", host=chance.choice("aab"))
    return "failpoint"


def with_an_error(story: Story, chance: random.Random) -> str:
    """An error of the host at the Nth time a failpoint is reached, once or from then on."""
    name, number = chance.choice(list(failpoints.NAMES)), chance.choice([1, 1, 2])
    lasting = chance.choice(["", "+"])
    story.reconcile(points=f"{name}=error:{chance.choice(ERRORS)}@{number}{lasting}", host=chance.choice("aab"))
    return "error"


def after_some_time(story: Story, chance: random.Random) -> str:
    """Killed by the clock."""
    child = story.start(host=chance.choice("aab"))
    time.sleep(chance.uniform(0.0, 1.2))
    child.kill()
    story.note(child.wait())
    return "time"


def as_ci_cancels(story: Story, chance: random.Random) -> str:
    """SIGINT, SIGTERM and SIGKILL one after the other, as a host of CI cancels a job, only faster."""
    child = story.start(host=chance.choice("aab"))
    time.sleep(chance.uniform(0.0, 0.8))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(child.pid, number)
        except ProcessLookupError:
            break
        time.sleep(chance.uniform(0.0, 0.4))
    story.note(child.wait())
    return "cancelled"


def at_a_system_call(story: Story, chance: random.Random) -> str:
    """Killed, or a child of it, at the Nth system call of a process that changes something."""
    world = story.world
    inject = f"inject={MUTATING}:signal=SIGKILL:when={chance.randint(1, 400)}"
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={MUTATING}", "-e", inject]
    command += world.command("reconcile", "--json", "--repo", str(world.remote))
    environ = {**world.environment("a"), "RUNNER_CLAIM_EXPIRY": "3"}
    done = subprocess.run(
        command,
        cwd=world.folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    story.note(Ended(done.returncode, done.stdout if done.returncode >= 0 else "", done.stderr))
    return "system call"


def two_at_once(story: Story, chance: random.Random) -> str:
    """Two hosts work at the same time, one of them is killed."""
    both = [story.start(host=host) for host in "ab"]
    time.sleep(chance.uniform(0.1, 1.0))
    both[chance.randrange(2)].kill()
    for child in both:
        story.note(child.wait())
    return "one of two"


ATTACKS: tuple[tuple[Callable[[Story, random.Random], str], int], ...] = (
    (at_a_failpoint, 8),
    (with_an_error, 4),
    (after_some_time, 4),
    (as_ci_cancels, 2),
    (two_at_once, 2),
    (at_a_system_call, 1 if shutil.which("strace") else 0),
)


def one_story(seed: int, attacks: int = ATTACKS_PER_STORY) -> tuple[collections.Counter[str], list[str]]:
    """The attacks of one story by their kind, and what was wrong in the end."""
    chance = random.Random(seed)
    counted: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        story = Story.begin(Path(place) / "story")
        for _ in range(attacks):
            if chance.random() < 0.6:
                story.edit()
            [attack] = chance.choices([a for a, _ in ATTACKS], [weight for _, weight in ATTACKS])
            counted[attack(story, chance)] += 1
        return counted, story.peace()


def torture(kills: int, seed: int, say: Callable[[str], None]) -> tuple[collections.Counter[str], list[str]]:
    """Stories until there were this many attacks; ends with the first that goes wrong."""
    assert errno.ENOSPC  # the names of errors are those of this platform
    counted: collections.Counter[str] = collections.Counter()
    number = 0
    while counted.total() < kills:
        found, wrong = one_story(seed * 1_000_003 + number)
        counted += found
        say(f"{counted.total()} attacks in {number + 1} stories")
        if wrong:
            return counted, [f"story {number} of seed {seed}: {line}" for line in wrong]
        number += 1
    return counted, []


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000, metavar="N", help="attacks in all (default: 10000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), metavar="N", help="replays a run")
    arguments = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {line}", file=sys.stderr, flush=True)

    counted, wrong = torture(arguments.kills, arguments.seed, say)
    for line in wrong:
        print(line)
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(counted.items()))
    outcome = "VIOLATED" if wrong else "no invariant was violated"
    print(f"seed {arguments.seed}: {counted.total()} attacks ({kinds}) in {time.monotonic() - began:.0f} s: {outcome}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
