"""Text with what differs from run to run replaced, and compared with the files in `golden/`.

`UPDATE_GOLDEN=1 pytest tests/cli` writes the files anew; read what changed before it is committed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_FOLDER = Path(__file__).parent / "golden"
_VOLATILE = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<commit>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<moment>"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min \d+ s|min)(?= ago|\b)"), "<duration>"),
    (re.compile(r"\d+\.\d CPU s, [\d.]+ [KMG]iB of memory"), "<usage>"),
    (re.compile(r"by( +)\S+ on \S+ \([a-z+]+"), r"by\1<who> on <host> (<isolation>"),
    (re.compile(r"(actor|host|id) {2,}\S+"), r"\1  <\1>"),
    (re.compile(r"^seconds {2,}.*\n", re.MULTILINE), ""),  # only where one took a tenth of a second longer
    (re.compile(r"\nruns {2,}.*\n(?=\n|\Z)"), ""),  # nothing else is left of that table
    (re.compile(r"(\nruns {2,}.*?) +change *(?=\n)"), r"\1"),  # of seconds
    (re.compile(r"(?<=\S) {2,}"), "  "),  # columns are as wide as what was replaced; views are tested with fixed values
    (re.compile(r" +$", re.MULTILINE), ""),
)


def matches_golden(name: str, text: str, names: dict[str, str]) -> None:
    """Fail unless the text is what the file says; `names` are commits by what people call them."""
    for commit, called in names.items():
        for length in (40, 12, 8):
            text = text.replace(commit[:length], called)
    for pattern, said in _VOLATILE:
        text = pattern.sub(said, text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "<id>", text)
    file = _FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()
