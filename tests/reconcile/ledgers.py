"""A checker of ledgers that shares no code with the runner: it reads a state branch with git alone."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.reconcile.audits import findings
from tests.repositories import git

_RECORDS = ".runner/ledger/records/"


def records_of(remote: Path, branch: str) -> list[dict[str, Any]]:
    """Predicates of all records at the tip of a state branch, the oldest first."""
    return [_predicate(data) for data in _records(remote, branch)]


def check_ledger(remote: Path, branch: str = "runner/state") -> list[dict[str, Any]]:
    """Hold a state branch against its rules, commit by commit; returns the predicates at its tip.

    Records are numbered without a gap and chained by the digests of their bytes; nothing recorded ever changes; the key
    index names the accepted record of every key and nothing else; whatever stands names a record that says the same;
    a key has one accepted result (unless its bytes were lost) and a run is recorded once.
    """
    before: dict[str, str] = {}
    for commit in reversed(git(remote, "rev-list", "--first-parent", branch).splitlines()):
        if "\nReconcile-Id: " not in git(remote, "log", "-1", "--format=%B", commit):
            continue  # people's, on the watched branch
        now = _listed(remote, commit, _RECORDS)
        assert before.items() <= now.items(), f"{commit} changed what was recorded"
        assert len(now) > len(before), f"{commit} records nothing"
        before = now
    assert findings(remote, branch) == ()  # the runner's own verifier has to agree
    return _check_tip(remote, branch)


def _check_tip(remote: Path, branch: str) -> list[dict[str, Any]]:
    numbers = [int(Path(path).stem) for path in _listed(remote, branch, _RECORDS)]
    assert numbers == list(range(1, len(numbers) + 1))
    predicates, previous = [], None
    for number, data in zip(numbers, _records(remote, branch), strict=True):
        predicate = _predicate(data)
        assert (predicate["sequence"], predicate["previous"]) == (number, previous)
        previous = hashlib.sha256(data).hexdigest()
        predicates.append(predicate)
    [state] = _blobs(remote, [f"{branch}:.runner/state.json"])
    assert (json.loads(state)["sequence"], json.loads(state)["digest"]) == (len(numbers), previous)
    runs = {p["sequence"]: p["run"] for p in predicates if "run" in p}
    own = [p["run"]["runId"] for p in predicates if "run" in p and "adoptedFrom" not in p]
    assert len(own) == len(set(own)), "a run is recorded twice"
    _check_keys(remote, branch, runs)
    _check_standing(remote, branch, runs)
    return predicates


def _check_keys(remote: Path, branch: str, runs: dict[int, dict[str, Any]]) -> None:
    expected: dict[str, tuple[int, bool]] = {}
    for number, run in sorted(runs.items()):
        succeeded = run["outcome"]["succeeded"]
        known = expected.get(run["key"])
        if known and known[1] and succeeded:
            assert run["outcome"]["reason"] == "remade", f"the key of record {number} has two accepted results"
        if known is None or succeeded or not known[1]:
            expected[run["key"]] = (number, succeeded)
    found: dict[str, tuple[int, bool]] = {}
    paths = list(_listed(remote, branch, ".runner/keys/"))
    for path, data in zip(paths, _blobs(remote, [f"{branch}:{path}" for path in paths]), strict=True):
        lines = data.decode().splitlines()
        assert lines == sorted(lines)
        for line in lines:
            key, number_text, outcome = line.split(" ")
            assert path == f".runner/keys/{key[:2]}"
            found[key] = (int(number_text), outcome == "ok")
    assert found == expected


def _check_standing(remote: Path, branch: str, runs: dict[int, dict[str, Any]]) -> None:
    listed = _listed(remote, branch, ".runner/recorded/")
    for path, data in zip(listed, _blobs(remote, list(listed.values())), strict=True):
        entry = json.loads(data)
        if entry["record"] is None:
            assert entry["provenance"] != "runner", path
            continue
        run = runs[entry["record"]]
        assert (run["key"], run["outcome"]["succeeded"]) == (entry["key"], True), path
        assert [(o["path"], o["md5"]) for o in run["outs"]] == [(o["path"], o["md5"]) for o in entry["outs"]], path


def _records(remote: Path, revision: str) -> list[bytes]:
    return _blobs(remote, list(_listed(remote, revision, _RECORDS).values()))


def _listed(remote: Path, revision: str, path: str) -> dict[str, str]:
    """Path to object id of the files at or below a path, in order."""
    lines = git(remote, "ls-tree", "-r", "-z", revision, path).split("\0")
    return {line.partition("\t")[2]: line.split()[2] for line in lines if line}


def _blobs(remote: Path, names: Sequence[str]) -> list[bytes]:
    command = ["git", "-C", str(remote), "cat-file", "--batch"]
    text = "".join(f"{name}\n" for name in names).encode()
    out = subprocess.run(command, input=text, capture_output=True, check=True).stdout
    found, start = [], 0
    for _ in names:
        end = out.index(b"\n", start)
        size = int(out[start:end].split()[2])
        found.append(out[end + 1 : end + 1 + size])
        start = end + size + 2
    return found


def _predicate(data: bytes) -> dict[str, Any]:
    envelope = json.loads(data)
    assert json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode() + b"\n" == data
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    predicate: dict[str, Any] = statement["predicate"]
    return predicate.get("gitopsrunner_record", predicate)
