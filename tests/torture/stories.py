"""A small repository that is edited and reconciled under attack, and what must be true of it when peace returns."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.invariants import Evidence, Ledger, Told, predicate_of, runs_of, violations
from tests.reconcile.worlds import STATE, World
from tests.repositories import git
from tests.torture.forked import Child, Ended, start
from tests.torture.objects import Objects

STAGES = """\
stages:
  one:
    cmd: cat in > one; mkdir -p d; cp in d/x; echo more > d/y
    deps: [in]
    outs: [one, d]
  two:
    cmd: cat one d/x > two; echo "{\\"n\\":$(cat in | wc -l)}" > m.json
    deps: [in, one, d]
    outs: [two]
    metrics: [m.json: {cache: false}]
  wrong:
    cmd: echo no >&2; exit 1
    deps: [in]
    outs: [wrong]
"""
PROJECT = "apiVersion: runner/v1\nkind: Project\nspec: {record: {every: 200ms}}\n"


@dataclass
class Story:
    """One world, and everything that was seen of it."""

    world: World
    told: dict[str, Told] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    heads: list[str] = field(default_factory=list)
    edits: int = 0
    url: str = ""
    """How runners name the remote."""
    status_in_peace: int = 3
    """How a reconcile in peace ends: one stage stands failed."""

    @staticmethod
    def begin(folder: Path, stages: str = STAGES) -> Story:
        """A repository with a DVC remote, nothing reconciled yet."""
        files = {"dvc.yaml": stages, "runner.yaml": PROJECT, "in": "0\n"}
        world = World.create(folder, files, dvc=True)
        return Story(world, url=str(world.remote), status_in_peace=3 if stages is STAGES else 0)

    def edit(self) -> None:
        """A commit that makes every stage run again; one process of git makes it where people's pushes arrive."""
        self.edits += 1
        content, message = f"{self.edits}\n", f"Edit {self.edits}\n"
        lines = [f"commit refs/heads/main\ncommitter Ada <ada@example.com> {int(time.time())} +0000"]
        lines += [f"data {len(message)}\n{message}from refs/heads/main^0\nM 100644 inline in"]
        lines += [f"data {len(content)}\n{content}"]
        command = ["git", "-C", str(self.world.remote), "fast-import", "--quiet"]
        subprocess.run(command, input="\n".join(lines).encode(), check=True)

    def start(self, points: str = "", host: str = "a", *, held: bool = False) -> Child:
        """A reconcile on a host; with `held` it stands still before it begins."""
        environ = {**self.world.environment(host), "RUNNER_CLAIM_EXPIRY": "3"}
        arguments = ["reconcile", "--json", "--repo", self.url, "--jobs", "2"]
        return start(arguments, self.world.folder, environ, self.world.folder / "said", points, held=held)

    def reconcile(self, points: str = "", host: str = "a") -> Ended:
        """A reconcile, and what is known of it afterwards."""
        ended = self.start(points, host).wait()
        self.note(ended)
        return ended

    def note(self, ended: Ended) -> None:
        """Remember what was told: the journals have it, also where the process was killed."""
        assert "Traceback" not in ended.err, ended.err
        for host in self.world.folder.glob("host-*"):
            for file in host.glob("r/*/journal/**/*.jsonl"):
                for line in filter(None, file.read_bytes().split(b"\n")[:-1]):
                    self._tell(json.loads(line).get("run"))
        value = ended.value
        self.dropped |= {row["runId"] for row in value.get("dropped", [])}
        for run in value.get("runs", []):
            self.told.setdefault(run["runId"], Told(run["runId"], run["key"], run["succeeded"]))
        tip = self.world.tip()
        if tip is not None and tip not in self.heads:
            self.heads.append(tip)

    def _tell(self, run: dict[str, Any] | None) -> None:
        if run is not None:
            self.told.setdefault(run["runId"], Told(run["runId"], run["key"], run["outcome"]["succeeded"]))

    def peace(self, *, went_well: bool = False) -> list[str]:
        """Let every host reconcile undisturbed, and return what is wrong then; empty where nothing is.

        `went_well`: the only host has just reconciled to a good end, so that nothing may be left to do.
        """
        found = []
        hosts = sorted(path.name.removeprefix("host-") for path in self.world.folder.glob("host-*")) or ["a"]
        first = [] if went_well else [self.reconcile(host=host) for host in hosts]
        last = [self.reconcile(host=host) for host in hosts]
        for ended in [*first, *last]:
            if ended.status != self.status_in_peace:
                found.append(f"a reconcile in peace ended with {ended.status}: {ended.err}")
        commits = [ended.value.get("commit") for ended in last]
        actions = [ended.value.get("actions", {}) for ended in last]
        history = self._history()
        records = history[-1].records if history else []
        seen = Evidence(
            history=history,
            told=list(self.told.values()),
            dropped=frozenset(self.dropped | _recorded_as_dropped(records) | self._done_by_others(records)),
            has_bytes=self._has_bytes,
            last_actions=[{k: v for k, v in row.items() if v != "failed"} for row in actions],
            last_commits=[commit for commit in commits if commit],
        )
        return [*found, *violations(seen), *self._left_behind()]

    # What is there

    def _history(self) -> list[Ledger]:
        """The state branch at each of its commits; every commit that was its head once has to be among them."""
        remote = self.world.remote
        with Objects(remote) as objects:
            lines = git(remote, "rev-list", "--first-parent", "--reverse", STATE).splitlines()
            own = [sha for sha in lines if objects.has(f"{sha}:.runner")]
            for head in self.heads:
                assert head in own, f"{head} was the state once, and is not part of it any more"
            return [_ledger(objects, sha) for sha in own]

    def _done_by_others(self, records: Sequence[bytes]) -> set[str]:
        """Runs whose work is recorded by another's: whoever dropped them may have been killed before saying so."""
        accepted = {run["key"] for _, run in runs_of(records) if run["outcome"]["succeeded"]}
        return {run.run_id for run in self.told.values() if run.succeeded and run.key in accepted}

    def _has_bytes(self, md5: str) -> bool:
        file = self.world.store / "files/md5" / md5[:2] / md5[2:]
        if not file.is_file():
            return False
        data = file.read_bytes()
        if hashlib.md5(data).hexdigest() != md5.removesuffix(".dir"):
            return False
        members = json.loads(data) if md5.endswith(".dir") else []
        return all(self._has_bytes(member["md5"]) for member in members)

    def _left_behind(self) -> list[str]:
        """Processes, locks, mounts and claims that nobody holds any more."""
        found = [f"a claim was left on the remote: {ref}" for ref in self.world.refs() if "/claims/" in ref]
        folder = str(self.world.folder)
        found += [
            f"a mount was left: {line}" for line in Path("/proc/mounts").read_text().splitlines() if folder in line
        ]
        found += [f"a lock was left: {path}" for path in self.world.folder.glob("host-*/r/*/mirror.git/**/*.lock")]
        journals = list(self.world.folder.glob("host-*/r/*/journal/**/*.jsonl"))
        found += [f"a journal was left: {path}" for path in journals]
        end = time.monotonic() + 120
        while (alive := _processes(folder)) and time.monotonic() < end:
            time.sleep(0.05)
        found += [f"a process was left: {command}" for command in alive]
        trees = [path for path in self.world.folder.glob("host-*/r/*/w*") if path.is_dir()]
        if len(trees) > 8:
            found.append(f"{len(trees)} worktrees were left")
        return found


def _recorded_as_dropped(records: Sequence[bytes]) -> set[str]:
    rows = [row for data in records for row in predicate_of(data).get("reconcile", {}).get("dropped", [])]
    return {row["runId"] for row in rows}


def _ledger(objects: Objects, commit: str) -> Ledger:
    records = objects.blobs(commit, ".runner/ledger/records")
    standing = objects.blobs(commit, ".runner/recorded")
    return Ledger(list(records.values()), [json.loads(data) for data in standing.values()])


def _processes(folder: str) -> list[str]:
    """Command lines of processes, other than this one, that name a folder or work in it."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        try:
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = os.readlink(place / "cwd")
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it ended meanwhile
        if "git daemon " in command or "git-daemon " in command or "tests.torture.proxy " in command:
            continue  # the remote's own
        if state != "Z" and (folder in command or where.startswith(folder)):
            found.append(f"{command} in {where}")
    return found
