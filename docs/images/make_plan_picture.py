"""Render what `runner plan` prints as a picture for the README: `python docs/images/make_plan_picture.py [FILE]`.

The plan is a real one: a copy of `examples/adopt-dvc` is reconciled, a pull request's run is recorded, and then its
merge together with another edit is planned. Commit names and ages differ from one rendering to the next.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "runner plan --all"
SETUP = (
    # What was recorded before, and what a pull request ran.
    "git init -q --bare -b main ../remote.git",
    "git init -q -b main",
    "git add --all",
    "git commit -q -m 'Wines from three growers'",
    "git remote add origin ../remote.git",
    "git push -q -u origin main",
    "runner reconcile",
    "git checkout -q -b nine-bins",
    "sed -i 's/bins: 8/bins: 9/' params.yaml",
    "git commit -q -am 'Count in nine bins'",
    "git push -q -u origin nine-bins",
    "runner reconcile nine-bins",
    # The merge of the pull request, and an edit that nobody ran yet.
    "git checkout -q main",
    "git merge -q --ff-only nine-bins",
    "sed -i 's/folds: 5/folds: 10/' params.yaml",
    "git commit -q -am 'Ask ten folds'",
    # The first reading of a commit loads DVC, which takes the colours out of what is not written to a terminal.
    "runner validate HEAD",
)

CHARACTER = 8.4
"""Width of one character in pixels; every piece of text is fitted to it, whichever font the reader has."""
LINE = 21.0
MARGIN = 22.0
TITLE = 34.0
BACKGROUND, BORDER, FOREGROUND = "#161b22", "#444c56", "#e6edf3"
COLOURS = {
    "1": "#ffffff",
    "2": "#9da7b3",
    "31": "#ff7b72",
    "32": "#56d364",
    "33": "#e3b341",
    "35": "#d2a8ff",
    "36": "#56d4dd",
}
_CODE = re.compile("\x1b\\[([0-9;]*)m")


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one look, at a column of a line."""

    column: int
    text: str
    code: str


def main(arguments: list[str]) -> int:
    """Write the picture; the only argument is where to."""
    target = Path(arguments[0]) if arguments else Path(__file__).with_name("plan.svg")
    with tempfile.TemporaryDirectory(prefix="plan-picture-") as folder:
        text = planned(Path(folder))
    target.write_text(picture(text), encoding="utf-8")
    return 0


def planned(folder: Path) -> str:
    """What `runner plan` prints in colour, in a repository made for it below `folder`."""
    clone = folder / "wine"
    shutil.copytree(ROOT / "examples" / "adopt-dvc", clone, ignore=shutil.ignore_patterns("__pycache__"))
    environment = _environment(folder)
    for command in SETUP:
        subprocess.run(command, shell=True, cwd=clone, env=environment, check=True, capture_output=True, text=True)
    shown = subprocess.run(
        [*COMMAND.split(), "--color", "always"], cwd=clone, env=environment, check=False, capture_output=True, text=True
    )
    if shown.returncode != 2:
        raise SystemExit(f"`{COMMAND}` ended with {shown.returncode}: {shown.stderr}")
    return shown.stdout


def picture(text: str) -> str:
    """An SVG of a terminal that shows the command and its output."""
    lines = [[Piece(0, "$", "2"), Piece(2, COMMAND, "1")], *(list(pieces(line)) for line in text.rstrip().split("\n"))]
    columns = max(piece.column + len(piece.text) for line in lines for piece in line)
    width, height = 2 * MARGIN + columns * CHARACTER, TITLE + len(lines) * LINE + MARGIN
    plain = " ".join(_CODE.sub("", text).split())
    rows = "\n".join(_row(line, TITLE + MARGIN / 2 + number * LINE) for number, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}" role="img" aria-label="The output of {COMMAND}">\n'
        f"<desc>{escape(plain)}</desc>\n"
        f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="9" fill="{BACKGROUND}"'
        f' stroke="{BORDER}"/>\n'
        f"{_buttons()}\n"
        "<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\""
        f' font-size="14" xml:space="preserve">\n{rows}\n</g>\n</svg>\n'
    )


def pieces(line: str) -> Iterator[Piece]:
    """The pieces of one line of a terminal, without white space at their ends."""
    code, column = "0", 0
    parts = _CODE.split(line)
    for index, part in enumerate(parts):
        if index % 2:
            code = part
            continue
        for found in re.finditer(r"\S+(?: \S+)*", part):
            yield Piece(column + found.start(), found.group(), code)
        column += len(part)


def _row(line: Iterable[Piece], y: float) -> str:
    return "\n".join(_text(piece, y) for piece in line)


def _text(piece: Piece, y: float) -> str:
    x, length = MARGIN + piece.column * CHARACTER, len(piece.text) * CHARACTER
    weight = ' font-weight="bold"' if piece.code == "1" else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
        f' fill="{COLOURS.get(piece.code, FOREGROUND)}"{weight}>{escape(piece.text)}</text>'
    )


def _buttons() -> str:
    return "".join(
        f'<circle cx="{MARGIN + number * 18:.0f}" cy="17" r="5" fill="{colour}"/>'
        for number, colour in enumerate(("#f85149", "#d29922", "#3fb950"))
    )


def _environment(folder: Path) -> Mapping[str, str]:
    """The caller's, with a home of its own and an identity for commits."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "RUNNER_"))}
    people = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _PERSON.items()}
    return (
        kept
        | people
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder),
            "RUNNER_HOME": str(folder / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "DVC_NO_ANALYTICS": "1",
        }
    )


_PERSON = {"NAME": "Ada Example", "EMAIL": "ada@example.com"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
