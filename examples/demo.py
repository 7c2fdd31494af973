"""The first minutes with the runner, from nothing: a repository, its first reconcile, an edit, a release, and a server.

    python examples/demo.py [FOLDER]       FOLDER is made anew; default: demo/

Every command is shown before it runs, and each must end as the demo says, so this is a test as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

QUICKSTART = Path(__file__).parent / "quickstart"
MARKER = ".made-by-demo"

DONE = 0
CHANGES = 2
"""What `runner plan` ends with where there is something to do."""

Chapter = tuple[str, Sequence[tuple[str, int]]]

STORY: Sequence[Chapter] = (
    (
        "A repository with a pipeline in runner.yaml. What would run, and why? Git alone tells.",
        [("cat runner.yaml", DONE), ("runner plan", CHANGES)],
    ),
    (
        "Make it so: stages run in a worktree of their own, results become a commit on the branch runner/state.",
        [("runner reconcile", DONE), ("runner status", DONE)],
    ),
    (
        "The metrics are in git, beside what made them.",
        [("git show origin/runner/state:metrics.json", DONE)],
    ),
    (
        "Nothing changed, so nothing is to do, and a second reconcile does nothing.",
        [("runner plan", DONE), ("runner reconcile", DONE)],
    ),
    (
        "Edit one parameter in a commit. Only what depends on it runs again.",
        [
            ("sed -i 's/max_depth: 1/max_depth: 2/' params.yaml", DONE),
            ("git commit -qam 'Let the trees grow deeper' && git push -q", DONE),
            ("runner plan", CHANGES),
            ("runner reconcile", DONE),
        ],
    ),
    (
        "What did the edit bring? And what happened here, all told?",
        [
            ("runner runs compare --stage evaluate", DONE),
            ("git log --graph --oneline origin/runner/state", DONE),
        ],
    ),
    (
        "A Deployment says which model is served, once it passes its gates. The release is one more commit.",
        [
            (
                """cat >> runner.yaml <<'END'
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: tumour-api}
spec:
  model: {pipeline: tumour, out: models/tumour}
  gates:
    - {metric: "metrics.json:roc_auc", min: 0.9}
END""",
                DONE,
            ),
            ("git commit -qam 'Serve the model' && git push -q", DONE),
            ("runner reconcile", DONE),
        ],
    ),
)

SERVE = "runner serve --repo ../remote.git --every 1s --listen {address}"
ASK = "head -2 data/test.csv | cut -d, -f1-30 | {post} http://{address}/invocations"
STATUS = "{get} http://{address}/status"
NEXT: Sequence[tuple[str, int]] = (
    ("sed -i 's/max_depth: 2/max_depth: 3/' params.yaml", DONE),
    ("git commit -qam 'Let the trees grow deeper still' && git push -q", DONE),
    ("runner reconcile", DONE),
)
_CURL = ("curl -sS -H 'content-type: text/csv' --data-binary @-", "curl -sS")
_WITHOUT_CURL = (
    """python -c 'from sys import *; from urllib.request import *; print(urlopen(Request(argv[1], stdin.buffer.read(), \
{"content-type": "text/csv"})).read().decode())'""",
    "python -c 'from sys import *; from urllib.request import *; print(urlopen(argv[1]).read().decode())'",
)
_PATIENCE_SECONDS = 60.0


def main(arguments: Sequence[str]) -> int:
    """Tell the story in a folder; returns 1 as soon as a command ends otherwise than told."""
    folder = Path(arguments[0] if arguments else "demo").resolve()
    environment = _environment(folder)
    try:
        clone = _repository(folder, environment)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"demo: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
        return 1
    try:
        for text, commands in STORY:
            _say(text)
            _do(commands, clone, environment)
        _live(clone, environment)
    except _Otherwise as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    _say(f"All of it is left in {clone} for you to look around; RUNNER_HOME is {environment['RUNNER_HOME']}.")
    return 0


class _Otherwise(Exception):
    """Something did not come out as told."""


def _do(commands: Sequence[tuple[str, int]], clone: Path, environment: Mapping[str, str]) -> None:
    for command, expected in commands:
        print(_styled(f"$ {command}", "1;36"), flush=True)
        code = subprocess.run(command, shell=True, cwd=clone, env=environment, check=False).returncode
        if code != expected:
            raise _Otherwise(f"this ended with {code}, not {expected}")


def _live(clone: Path, environment: Mapping[str, str]) -> None:
    """A server that pulls, one question before and one after a new release."""
    _say("Whoever serves, pulls: a server needs the repository and nothing else. It follows what is released.")
    _do([("runner pull prepare", DONE)], clone, environment)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    post, get = _CURL if shutil.which("curl") else _WITHOUT_CURL
    ask, status = ASK.format(post=post, address=address), STATUS.format(get=get, address=address)
    serve = SERVE.format(address=address)
    print(_styled(f"$ {serve} &", "1;36"), flush=True)
    server = subprocess.Popen(serve.split(), cwd=clone, env=environment)
    try:
        _until(address, server, version=1)
        _do([(ask, DONE)], clone, environment)
        print()  # answers end without a new line
        _say("Another commit, another release: the server loads it beside the old one, and swaps. Nobody restarts it.")
        _do(NEXT, clone, environment)
        _until(address, server, version=2)
        for question in (ask, status):
            _do([(question, DONE)], clone, environment)
            print()
    finally:
        server.terminate()
        server.wait(_PATIENCE_SECONDS)


def _until(address: str, server: subprocess.Popen[bytes], version: int) -> None:
    """Wait until a release is served, and nothing else any more."""
    end = time.monotonic() + _PATIENCE_SECONDS
    seen = 0
    while seen < 3:
        if server.poll() is not None or time.monotonic() > end:
            raise _Otherwise(f"version {version} is not served")
        time.sleep(0.1)
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/status") as answer:
            told = json.load(answer)
            seen = seen + 1 if (told["version"], told["state"]) == (version, "serving") else 0


def _environment(folder: Path) -> Mapping[str, str]:
    """The caller's, but with a home of its own, so that the demo neither reads nor leaves anything elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "RUNNER_"))}
    home = folder / "home"
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "RUNNER_HOME": str(home / "runner"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "DVC_NO_ANALYTICS": "1",
    }


def _repository(folder: Path, environment: Mapping[str, str]) -> Path:
    """A clone of a bare remote, with the quickstart as its only commit."""
    if folder.exists() and not (folder / MARKER).exists() and any(folder.iterdir()):
        raise OSError(f"{folder} is not empty and was not made by the demo: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    clone = folder / "tumour"
    Path(environment["HOME"]).mkdir(parents=True)
    (folder / MARKER).touch()
    shutil.copytree(QUICKSTART, clone, ignore=shutil.ignore_patterns("__pycache__"))
    for command in (
        "git config --global user.name 'Ada Demo'",
        "git config --global user.email ada@example.com",
        "git init -q --bare -b main ../remote.git",
        "git init -q -b main",
        "git add --all",
        "git commit -q -m 'Tell benign tumours from malignant ones'",
        "git remote add origin ../remote.git",
        "git push -q -u origin main",
    ):
        subprocess.run(command, shell=True, cwd=clone, env=environment, check=True, capture_output=True, text=True)
    return clone


def _say(text: str) -> None:
    width = min(shutil.get_terminal_size().columns, 110)
    print()
    for line in textwrap.wrap(text, width - 2):
        print(_styled(f"# {line}", "2"))


def _styled(text: str, code: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
