"""The `.gitignore` lines of outputs, appended as DVC appends them."""

from __future__ import annotations

from collections.abc import Iterable

_META_CHARACTERS = frozenset("[]!*#?")


def with_lines(text: bytes | None, names: Iterable[str]) -> bytes:
    """The file with `/name` for every name that has no such line yet; None is a file that does not exist.

    Names are those of entries beside the file, without a slash; what is there keeps its bytes. Source of the form:
    scmrepo.git.Git.ignore, whose escaping is pathspec's.
    """
    old = text or b""
    present = {line.strip() for line in old.decode("utf-8", "surrogateescape").splitlines()}
    new = [line for line in dict.fromkeys(f"/{_escaped(name)}" for name in names) if not _covered(line, present)]
    if not new:
        return old
    joint = b"" if not old or old.endswith(b"\n") else b"\n"
    return old + joint + "".join(f"{line}\n" for line in new).encode("utf-8", "surrogateescape")


def _covered(line: str, present: set[str]) -> bool:
    return line in present or f"{line}/" in present or line[1:] in present


def _escaped(name: str) -> str:
    return "".join(f"\\{character}" if character in _META_CHARACTERS else character for character in name)
