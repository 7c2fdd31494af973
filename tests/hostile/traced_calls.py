"""A program that calls the runner for one hostile clone after the other; started under `strace` by the tests.

Before each call it opens a file that does not exist, whose name tells the reader of the trace what comes next.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

from runner.cli.main import main

MARK = "/nowhere/next-is-"
ENDS = "/nowhere/no-more"


def _called(folder: str, words: list[str]) -> list[object]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(folder):
        try:
            code: object = main(words)
        except SystemExit as stop:
            code = stop.code
    said = [stream.buffer.getvalue().decode("utf-8", "backslashreplace") for stream in (out, err)]  # type: ignore[attr-defined]
    return [code, *said]


def _run(todo: Path) -> list[object]:
    answers: list[object] = []
    for number, (folder, environ, words) in enumerate(json.loads(todo.read_text())):
        os.environ.update(environ)
        tempfile.tempdir = None
        with contextlib.suppress(FileNotFoundError):
            open(f"{MARK}{number}").close()
        answers.append(_called(folder, words))
    with contextlib.suppress(FileNotFoundError):
        open(ENDS).close()
    return answers


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(_run(Path(sys.argv[1]))))
