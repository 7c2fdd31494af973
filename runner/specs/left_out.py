"""What could not be read, and what it might have said: so that no finding is a false consequence of another one.

The rule. What is broken (a file, a document, a stage) is left out with its findings, and all else is checked.

- A finding of presence (two owners of an output, a cycle, an output that git holds) follows from what was read. It
  stands, whatever else there is.
- A finding of absence (an input that nobody makes, a name that nobody has) is dropped where a part that was left out
  might be the one: where all words of the path or of the name stand in its text. A part that may say more than its
  text shows (a template, an escape, bytes that are no text, a glob that names nothing) might be any.
- Where it is not known which files hold specs, because the Project that says so was left out, no other file is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.errors import Finding, SpecError
from runner.patterns import regex
from runner.specs.places import parents
from runner.values import dataclass, field

_WORD = regex(r"([\w.-]+)(/(?=\w))?")
"""A word of a text, and whether it is a folder of something longer."""
_SILENT = frozenset(["cmd", "deps", "params", "desc", "meta", "vars", "env", "secrets", "resources", "environment"])
"""Keys of a stage whose values name nothing that the stage makes."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of the specs that was not read."""

    file: str
    kind: str | None = None
    """The kind of a runner document; None where it is not known, or may be several."""
    words: frozenset[str] | None = None
    """The words of its text; None where it might say anything."""
    ends: frozenset[str] = frozenset()
    """Those of the words that are the last of a path somewhere."""

    def might_make(self, path: str) -> bool:
        """Whether a path may be made by it, or lie in something it makes, or hold something it makes."""
        if self.kind not in (None, "Pipeline"):
            return False
        return self.might_say(path.rpartition("/")[2]) or any(
            self.might_say(folder.rpartition("/")[2], self.ends) for folder in parents(path)
        )

    def might_be(self, kind: str, name: str = "") -> bool:
        """Whether it may be the document of this kind and name, or hold it."""
        return self.kind in (None, kind) and self.might_say(name)

    def might_say(self, name: str, last: frozenset[str] | None = None) -> bool:
        """Whether a name may stand in it; with `last`, as the last of a path."""
        if self.words is None or last is None:
            return self.words is None or self.words.issuperset(word for word, _ in _WORD.findall(name))
        words = [word for word, _ in _WORD.findall(name)]
        return self.words.issuperset(words) and last.issuperset(words[-1:])


def anything(file: str, kind: str | None = None) -> LeftOut:
    """A part of which nothing is known."""
    return LeftOut(file, kind)


def by_text(file: str, blob: bytes | str, kind: str | None = None) -> LeftOut:
    """A part that was not parsed; the path of its file is part of what it says."""
    try:
        text = blob if isinstance(blob, str) else blob.decode("utf-8")
    except UnicodeDecodeError:
        return anything(file, kind)
    return anything(file, kind) if "\\" in text else by_words(file, [text], kind)


def by_words(file: str, texts: Iterable[str], kind: str | None = None) -> LeftOut:
    """A part that was parsed into these texts."""
    found: dict[str, bool] = {}
    for text in (file.removesuffix(".dvc"), *texts):
        if "${" in text:
            return anything(file, kind)
        for word, goes_on in _WORD.findall(text):
            found[word] = found.get(word, False) or not goes_on
    return LeftOut(file, kind, frozenset(found), frozenset(word for word, is_last in found.items() if is_last))


def by_stages(file: str, stages: Iterable[Any]) -> LeftOut:
    """Stages or groups of a pipeline, as they were parsed."""
    return by_words(file, _said(list(stages), _SILENT), "Pipeline")


def by_document(file: str, value: Any, kind: str | None) -> LeftOut:
    """A document as it was parsed; an adopted `dvc.yaml` is of the kind Pipeline."""
    body = value.get("spec", value) if isinstance(value, Mapping) else value
    stages = body.get("stages") if isinstance(body, Mapping) else None
    if not isinstance(stages, Mapping):
        return by_words(file, _said(value), kind)
    rest = {key: item for key, item in body.items() if key != "stages"}
    outside = {key: item for key, item in value.items() if key not in ("spec", "stages")}
    return by_words(file, [*_said([rest, outside]), *_said(list(stages.values()), _SILENT)], kind)


def _said(value: Any, silent: frozenset[str] = frozenset()) -> Iterator[str]:
    """The texts of a value, keys included, without what stands under keys that name nothing a stage makes."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Mapping):
            spoken = [key for key in item if not (isinstance(key, str) and key in silent)]
            todo.extend(spoken)
            todo.extend(item[key] for key in spoken)
        elif isinstance(item, (list, tuple, set)):
            todo.extend(item)
        elif item is not None:
            yield str(item)


@dataclass(slots=True)
class Faults:
    """What is wrong so far, and what was left out for it."""

    findings: list[Finding] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Note one more finding."""
        self.findings.append(finding)

    def leave_out(self, part: LeftOut, error: SpecError | Iterable[Finding] = ()) -> None:
        """Note a part that was not read, and what is wrong with it."""
        self.findings.extend(error.findings if isinstance(error, SpecError) else error)
        self.left_out.append(part)

    def might_make(self, path: str) -> bool:
        """Whether something that was left out may make or track a path."""
        return any(part.might_make(path) for part in self.left_out)

    def might_hold(self, kind: str, name: str) -> bool:
        """Whether something that was left out may be the document of this kind and name."""
        return any(part.might_be(kind, name) for part in self.left_out)
