"""The tools that are measured side by side: how each of them makes a first run, and how it finds nothing to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DVC_PROGRAM = Path(sys.executable).with_name("dvc")
OURS = "runner"
EVIDENCE = "runner, from a dvc.lock"
"""Ours once more, where nothing was recorded and the lock file of a `dvc repro` is all there is."""
GROUPS = "runner, process groups"
"""Ours with the isolation that ninja and make have as well: none, but that every process is found and ended."""
SHELL = "runner, process groups, sh"
"""The same with the shell that ninja and make have as well."""
AGAIN = "runner, for the first time"
"""Ours once more, where it does not remember its last answer: the first plan of a commit."""
DVC = "DVC"
PEERS = (
    ("Snakemake", "snakemake -q all --cores {jobs}", "snakemake -n -q all"),
    ("doit", "doit -v0 -n {jobs} -P thread", "doit -v0"),
    ("make", "make -s -j{jobs} all", "make -s -q all"),
    ("ninja", "ninja --quiet -j {jobs}", "ninja --quiet -n"),
)
"""Of each other tool its name, the command line of a first run, and that of asking what there is to do."""
NAMES = (OURS, DVC, *(name for name, _, _ in PEERS))


@dataclass(frozen=True, slots=True)
class Contender:
    """One tool and its command lines."""

    name: str
    version: str
    first: tuple[str, ...]
    """Runs every stage; `{jobs}` stands for how many at a time."""
    nothing: tuple[str, ...]
    """Asks what there is to do, in a repository where there is nothing."""
    from_lock: bool = False
    """Whether a `dvc.lock` that others wrote is enough to find nothing to do."""
    first_stages: int = 100_000
    """The largest first run that is measured by default; more only with `--full`, as it takes minutes."""
    most_stages: int = 100_000
    """The largest one that is measured at all, as it takes hours."""
    most_asked: int = 100_000
    """The largest repository that it is asked about without a change."""
    remembers: tuple[str, ...] = ()
    """Patterns of what it keeps beside the repository, below the home folder, and may lose at any time."""
    answers: tuple[str, ...] = ()
    """The same for its last answer alone."""
    program: tuple[str, ...] = ()
    """The command without words."""

    def first_run(self, jobs: int) -> tuple[str, ...]:
        """The command line of a first run with `jobs` stages at a time."""
        return tuple(part.replace("{jobs}", str(jobs)) for part in self.first)


def contenders(peers_folder: Path | None, only: Sequence[str] = NAMES) -> list[Contender]:
    """Those of `only` that are there: the other tools in `peers_folder` or on the PATH; tells on stderr who is not."""
    path = os.pathsep.join(filter(None, (str(peers_folder or ""), os.environ.get("PATH", ""))))
    found = [_ours()] if OURS in only else []
    if DVC in only and DVC_PROGRAM.exists():
        found.append(_dvc())
    for name, first, nothing in PEERS:
        if name not in only:
            continue
        program = shutil.which(name.lower(), path=path)
        if program:
            first_line, nothing_line = ((program, *line.split()[1:]) for line in (first, nothing))
            most = 1000 if name == "Snakemake" else 100_000
            row = Contender(name, _version(program), first_line, nothing_line, most_asked=most, program=(program,))
            found.append(row)
    missing = sorted(set(only) - {tool.name for tool in found}, key=str.casefold)
    if missing:
        print(f"not measured, since not found: {', '.join(missing)}; see --peers-bin", file=sys.stderr)
    return found


def _ours() -> Contender:
    command = (sys.executable, "-m", "runner")
    return Contender(
        OURS,
        _commit(),
        first=(*command, "reconcile", "--jobs", "{jobs}"),
        nothing=(*command, "plan"),
        from_lock=True,
        remembers=tuple(f".cache/gitops-runner/{name}" for name in ("parsed", "apart", "digests.sqlite*")),
        answers=(".cache/gitops-runner/*/outline", ".cache/gitops-runner/apart/*/outline"),
        program=command,
    )


def _dvc() -> Contender:
    program = str(DVC_PROGRAM)
    return Contender(
        DVC,
        _version(program),
        first=(program, "repro", "-q"),
        nothing=(program, "status"),
        from_lock=True,
        first_stages=100,
        most_stages=400,
        remembers=("site",),
        program=(program,),
    )


def environment(home: Path) -> Mapping[str, str]:
    """What every measured command sees: an empty home of its own, no telemetry, the checkout's `runner`."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text("[user]\n\tname = Benchmark\n\temail = benchmark@example.org\n")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "DVC_NO_ANALYTICS": "1",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "SHELL": "/bin/sh",
    }


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()[0].split()
    return next(word for word in words if word[0].isdigit())


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
