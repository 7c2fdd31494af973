"""The ways in which a runner is attacked; each is drawn from a chance of its own and says what came of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from runner import failpoints
from tests.torture.forked import Child, Ended
from tests.torture.stories import Story

MUTATING = (
    "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,mkdir,mkdirat,rmdir,fsync,fdatasync,"
    "syncfs,ftruncate,mount,umount2"
)
CALLS = 240
"""As many of these system calls a reconcile of a story makes in its main thread."""
ERRORS = ("ENOSPC", "EIO", "EMFILE", "EDQUOT", "EACCES")
HOSTS = "aab"
POLL_SECONDS = 0.001


@dataclass(frozen=True)
class Attack:
    """What was done to runners, and what that came to."""

    kind: str
    what: str
    kills: int = 0
    """Runners that were alive and that SIGKILL ended: counted from the statuses the kernel gave for them."""


@dataclass
class Pace:
    """How long a reconcile that nobody disturbs takes here and now: attacks by the clock aim at that."""

    seconds: float = 0.4

    def heard(self, seconds: float) -> None:
        """A reconcile that nobody disturbed took so long."""
        self.seconds = 0.7 * self.seconds + 0.3 * seconds


def at_a_failpoint(story: Story, chance: random.Random, pace: Pace) -> Attack:
    """Killed at the Nth time a failpoint is reached."""
    name, number = chance.choice(list(failpoints.NAMES)), chance.choice([1, 1, 1, 1, 2, 3])
    points = f"{name}=kill@{number}"
    ended = story.reconcile(points=points, host=chance.choice(HOSTS))
    return Attack("failpoint", points, ended.was_killed)


def with_an_error(story: Story, chance: random.Random, pace: Pace) -> Attack:
    """An error of the host at the Nth time a failpoint is reached, once or from then on. No kill."""
    name, number = chance.choice(list(failpoints.NAMES)), chance.choice([1, 1, 2])
    points = f"{name}=error:{chance.choice(ERRORS)}@{number}{chance.choice(['', '+'])}"
    ended = story.reconcile(points=points, host=chance.choice(HOSTS))
    return Attack("error", points, ended.was_killed)


def after_some_time(story: Story, chance: random.Random, pace: Pace) -> Attack:
    """Killed by the clock."""
    part = chance.uniform(0.0, 1.1)
    child = story.start(host=chance.choice(HOSTS))
    ended = _killed_after(child, part * pace.seconds)
    story.note(ended)
    return Attack("time", f"after {part:.2f} of a reconcile", ended.was_killed)


def as_ci_cancels(story: Story, chance: random.Random, pace: Pace) -> Attack:
    """SIGINT, SIGTERM and SIGKILL one after the other, as a host of CI cancels a job, only faster."""
    part, gaps = chance.uniform(0.0, 0.9), [chance.uniform(0.0, 0.1) for _ in range(2)]
    child = story.start(host=chance.choice(HOSTS))
    ended = child.ended_within(part * pace.seconds)
    for number, gap in zip((signal.SIGINT, signal.SIGTERM), gaps, strict=True):
        if ended is None:
            os.kill(child.pid, number)
            ended = child.ended_within(gap)
    ended = ended or _killed_after(child, 0.0)
    story.note(ended)
    return Attack("cancelled", f"after {part:.2f} of a reconcile", ended.was_killed)


def two_at_once(story: Story, chance: random.Random, pace: Pace) -> Attack:
    """Two hosts work at the same time, one of them is killed."""
    part, victim = chance.uniform(0.1, 1.6), chance.randrange(2)
    both = [story.start(host=host) for host in "ab"]
    ended = [_killed_after(both[victim], part * pace.seconds), both[1 - victim].wait()]
    for one in ended:
        story.note(one)
    return Attack("one of two", f"after {part:.2f} of a reconcile", sum(one.was_killed for one in ended))


def at_a_system_call(story: Story, chance: random.Random, pace: Pace) -> Attack:
    """The runner is killed at the Nth system call of its main thread that changes something."""
    number = chance.randint(1, CALLS)
    ended = _traced(story, number, chance.choice(HOSTS), with_children=False)
    return Attack("system call", f"at call {number}", ended.was_killed)


def at_a_system_call_of_any(story: Story, chance: random.Random, pace: Pace) -> Attack:
    """Each process of the runner that makes N such calls is killed at the Nth: git and stages, seldom itself."""
    number = chance.randint(1, CALLS)
    ended = _traced(story, number, chance.choice(HOSTS), with_children=True)
    return Attack("system call of a child", f"at call {number}", ended.was_killed)


def _traced(story: Story, number: int, host: str, *, with_children: bool) -> Ended:
    child = story.start(host=host, held=True)
    child.wait_until_held()
    inject = f"inject={MUTATING}:signal=SIGKILL:when={number}"
    command = ["strace", *(["-f"] if with_children else []), "-qq", "-o", os.devnull]
    command += ["-e", f"trace={MUTATING}", "-e", inject, "-p", str(child.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not child.is_traced():
        if tracer.poll() is not None:
            child.kill()
            raise AssertionError(f"strace cannot attach: {tracer.stderr.read() if tracer.stderr else ''}")
        time.sleep(POLL_SECONDS)
    child.go_on()
    ended = child.wait()
    tracer.communicate()
    story.note(ended)
    return ended


def _killed_after(child: Child, seconds: float) -> Ended:
    """How a child ended that is killed after so long, unless it has ended by then."""
    ended = child.ended_within(seconds)
    if ended is not None:
        return ended
    child.kill()
    return child.wait()


def can_trace() -> bool:
    """Whether strace is here and may attach to a process."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    sleeper = subprocess.Popen(["sleep", "60"])
    command = [strace, "-qq", "-o", os.devnull, "-e", "trace=write", "-e", "inject=write:signal=SIGKILL", "-p"]
    tracer = subprocess.Popen([*command, str(sleeper.pid)], stderr=subprocess.DEVNULL)
    try:
        while tracer.poll() is None:
            if "TracerPid:\t0\n" not in _status(sleeper.pid):
                return True
            time.sleep(POLL_SECONDS)
        return False
    finally:
        sleeper.kill()
        sleeper.wait()
        tracer.wait()


def _status(pid: int) -> str:
    with open(f"/proc/{pid}/status") as file:
        return file.read()


Do = Callable[[Story, random.Random, Pace], Attack]
ATTACKS: tuple[tuple[Do, int], ...] = (
    (at_a_failpoint, 10),
    (after_some_time, 6),
    (two_at_once, 3),
    (as_ci_cancels, 2),
    (with_an_error, 3),
)
TRACED: tuple[tuple[Do, int], ...] = ((at_a_system_call, 4), (at_a_system_call_of_any, 1))


def drawn(chance: random.Random, *, traced: bool) -> Do:
    """One of the attacks, each as often as its weight says."""
    known = ATTACKS + TRACED
    [attack] = chance.choices([do for do, _ in known], [weight for _, weight in known])
    return at_a_failpoint if attack in dict(TRACED) and not traced else attack
