"""A secret that a stage gives away in every way it can is in nothing that the runner writes."""

from __future__ import annotations

import base64
import html
import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World

SECRET = "c4nary/Bird+of \"yellow' sÿlk&99"
SHOUT = r"""
import base64, html, json, os, sys, urllib.parse
s = os.environ["TOKEN"]; b = s.encode()
forms = [s, json.dumps(s), repr(s), html.escape(s), b.hex(), b.hex().upper(),
         urllib.parse.quote(s), urllib.parse.quote(s, safe=""), urllib.parse.quote_plus(s)]
forms += [f(b"xyz"[:n] + b + b"tail"[:m]).decode() for f in (base64.b64encode, base64.urlsafe_b64encode)
          for n in range(3) for m in range(3)]
forms += [base64.encodebytes(b"u" * 30 + b + b"v" * 60).decode(), s[:9] + "\n" + s[9:]]
for stream in (1, 2):
    for form in forms:
        data = f"<{form}>\n".encode()
        for start in range(0, len(data), 5):
            os.write(stream, data[start:start + 5])
        os.write(stream, data)
        os.write(stream, data.rstrip(b"\n"))
open("stray-" + b.hex(), "w").write(s)
open("own.log", "w").write(s)
"""
HIDDEN = r"""
import os
escaped = "".join("\\u%04x" % ord(character) for character in os.environ["TOKEN"])
open("hidden.json", "w").write('{"a": "' + escaped + '"}')
"""
STAGES = """\
stages:
  kept:
    cmd: echo kept >> @TRACE@; python3 shout.py && printf %s "$TOKEN" > kept
    deps: [shout.py]
    outs: [kept]
    meta: {runner: {secrets: [TOKEN]}}
  later:
    cmd: cat kept; cat kept >&2; echo later > later
    deps: [kept]
    outs: [later]
  failed:
    cmd: python3 shout.py; echo "cannot log in with $TOKEN"; echo "$TOKEN" > failed; exit 3
    deps: [shout.py]
    outs: [failed]
    meta: {runner: {secrets: [TOKEN], retries: 1}}
  metric:
    cmd: python3 -c 'import json, os; json.dump({"a":{"b":[os.environ["TOKEN"]]}}, open("metric.json", "w"))'
    metrics: [metric.json]
    meta: {runner: {secrets: [TOKEN]}}
  hidden:
    cmd: python3 hidden.py
    metrics: [hidden.json: {cache: false}]
    meta: {runner: {secrets: [TOKEN]}}
  named:
    cmd: python3 -c 'import os; os.mkdir("named"); open("named/" + os.environ["TOKEN"].encode().hex(), "w").close()'
    outs: [named]
    meta: {runner: {secrets: [TOKEN]}}
  missing:
    cmd: ln -s "/$TOKEN" missing
    outs: [missing]
    meta: {runner: {secrets: [TOKEN]}}
  committed:
    cmd: printf %s "$TOKEN" | base64 > committed
    outs: [committed: {cache: false}]
    meta: {runner: {secrets: [TOKEN]}}
"""
REFUSED = ("metric", "hidden", "named", "committed")


def canaries() -> list[bytes]:
    """What nothing may contain; by the standard library alone, not by the runner's own code."""
    raw = SECRET.encode()
    texts = [SECRET, json.dumps(SECRET)[1:-1], repr(SECRET)[1:-1], html.escape(SECRET), raw.hex(), raw.hex().upper()]
    texts += [urllib.parse.quote(SECRET), urllib.parse.quote(SECRET, safe=""), urllib.parse.quote_plus(SECRET)]
    encoded = [base64.b64encode(b"xyz"[:n] + raw)[4:-4] for n in range(3)]
    halves = [raw[:9] + b"\n", raw[9:]]
    encoded += [text.translate(bytes.maketrans(b"+/", b"-_")) for text in encoded]
    return [*(text.encode() for text in texts), *encoded, *halves]


def written(world: World) -> Iterator[tuple[str, bytes]]:
    """Everything the runner wrote, but the bytes of the one declared output that holds the secret by its own will."""
    for path in sorted(world.folder.rglob("*")):
        yield f"the name of {path}", str(path.relative_to(world.folder)).encode()
        if path.is_symlink():
            yield f"the link {path}", str(path.readlink()).encode()
        elif path.is_file() and path.read_bytes() != SECRET.encode():
            yield str(path), path.read_bytes()
    for git_dir in [world.remote, *world.home("a").glob("r/*/mirror.git")]:
        command = ["git", "-C", str(git_dir), "cat-file", "--batch-all-objects", "--batch"]
        yield f"objects of {git_dir}", subprocess.run(command, capture_output=True, check=True).stdout
        refs = subprocess.run(["git", "-C", str(git_dir), "for-each-ref"], capture_output=True, check=True).stdout
        yield f"refs of {git_dir}", refs


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["auto", "group"])
def test_nothing_the_runner_writes_holds_the_secret(tmp_path: Path, isolation: str) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "shout.py": SHOUT, "hidden.py": HIDDEN}, dvc=True)
    world.environ |= {"TOKEN": SECRET, "RUNNER_ISOLATION": isolation}
    said = []
    told = world.reconcile("--markdown", str(tmp_path / "summary.md"), ok=(3,))
    assert "failed" in (tmp_path / "summary.md").read_text()
    assert told.outcomes["kept"] == told.outcomes["later"] == "ok"
    assert told.outcomes["failed"] == "failed"
    assert {told.outcomes[name] for name in (*REFUSED, "missing")} == {"outputs"}
    said += [told.err, json.dumps(told.value, ensure_ascii=False)]
    for words in (["status"], ["log"], ["runs", "list"], ["explain", "kept"], ["explain", "failed"], ["plan"]):
        for options in ([], ["--json"]):
            done = world.runner(*words, *options, ok=(0, 1, 2, 3))
            said += [done.stdout, done.stderr]
    for record in world.records():
        if "run" in record:
            done = world.runner("runs", "show", str(record["sequence"]), "--json", ok=(0, 1))
            said += [done.stdout, done.stderr]
    messages = {run["stage"]: run["outcome"]["message"] for run in world.runs()}
    assert all("holds the value of TOKEN" in messages[name] for name in REFUSED), messages
    del world.environ["TOKEN"]
    everything = [*written(world), *((f"said: {text[:40]}", text.encode()) for text in said)]
    found = {place: canary for place, data in everything for canary in canaries() if canary in data}
    assert found == {}
    logs = [path.read_text() for path in world.home("a").glob("r/*/logs/*.log")]
    assert any(text.count("[TOKEN]") > 100 for text in logs)
    check_ledger(world.remote)
