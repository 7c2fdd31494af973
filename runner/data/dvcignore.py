"""What DVC does not see: `.dvcignore` files and the rules DVC has without them, over paths of a git tree.

DVC merges the patterns of nested files into one list, re-anchored at the root; the last pattern that matches decides,
level by level from the top. Sources: dvc.ignore.DvcIgnoreFilter, dvc.pathspec_math.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Any

from runner.data.walk import Ignoring, dvc_default_ignores
from runner.errors import Finding, SpecError
from runner.values import dataclass

FILE_NAME = ".dvcignore"

_DEFAULT_PATTERNS = (".hg/", ".git/", ".git", ".dvc/")


_RULES_LIMIT = 10_000
_PATTERN_LIMIT = 1_000
_SPANS_LIMIT = 3
_STARS_LIMIT = 4
"""Of those that cannot be tamed."""
_STAR = re.compile(r"\[\^/\]\*(?!\?)")
_ALL_RULES_LIMIT = 5_000_000
"""Of all folders that have rules of their own, together with those that they inherit."""
_CLASS = r"\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[^\\\]\[/^-])+\]"
_FIXED = rf"(?:\\[^/]|/|[^\\()\[\]*+?{{}}|^$]|\[\^/\]|{_CLASS})+?"
"""So many letters, whatever they are; none of a class may be a slash, which no star passes."""
_STAR_BEFORE_STAR = re.compile(rf"\[\^/\]\*({_FIXED})(?=\[\^/\]\*)")


_PART = r"(?!\.{1,2}(?:/|$))[\w.@+=,~%-]+"
_PLAIN = re.compile(rf"(!?)(/?)((?:{_PART}/)*{_PART})(/?)")
"""A pattern without anything special: a path, or one name wherever it is."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern, based at the root."""

    ignores: bool
    folders_only: bool
    path: str = ""
    """The path that the pattern is, without slashes at its ends; empty for one of another kind."""
    name: str = ""
    """The name that it is."""
    matches: re.Pattern[str] | None = None
    """The expression of all other patterns."""


class _Rules:
    """The rules that hold for the entries of a folder, in DVC's order.

    What is a plain path or name is looked up: `dvc add` and cached outputs leave a line each, thousands in all.
    """

    def __init__(self, rules: tuple[_Rule, ...]) -> None:
        self.rules = rules
        self._paths: dict[str, list[int]] = {}
        self._names: dict[str, list[int]] = {}
        others: list[int] = []
        for number, rule in enumerate(rules):
            if rule.matches is not None:
                others.append(number)
            else:
                (self._paths if rule.path else self._names).setdefault(rule.path or rule.name, []).append(number)
        self._others = others[::-1]

    def verdict(self, path: str, is_dir: bool) -> bool | None:
        """What the last rule says that matches a path, itself or a folder above it; None where none does."""
        plain = self._plain(path, is_dir)
        order = sorted([*plain, *self._others], reverse=True) if plain else self._others
        forms = (path, path + "/") if is_dir else (path,)
        for number in order:
            rule = self.rules[number]
            if rule.matches is None:
                return rule.ignores
            if (is_dir or not rule.folders_only) and any(rule.matches.match(form) for form in forms):
                return rule.ignores
        return None

    def _plain(self, path: str, is_dir: bool) -> set[int]:
        """The plain rules that match."""
        parts = path.split("/")
        above = accumulate(parts, lambda folder, name: f"{folder}/{name}")
        found = {number for part in parts for number in self._names.get(part, ())}
        found.update(number for folder in above for number in self._paths.get(folder, ()))
        if not is_dir:
            found = {number for number in found if not self.rules[number].folders_only}
        if path.endswith("\n"):  # at the end of the text is also before a last newline, in DVC's expressions
            ends = (*self._names.get(parts[-1][:-1], ()), *self._paths.get(path[:-1], ()))
            found.update(number for number in ends if not self.rules[number].folders_only)
        return found


class Ignore:
    """What DVC ignores in one tree. Paths are POSIX and relative to the root of the repository. Safe for threads."""

    def __init__(self, files: Mapping[str, bytes], *, root: str = ".", subprojects: Iterable[str] = ()) -> None:
        """Read every file; raises SpecError with all the patterns that cannot be read.

        `files` is the bytes of every `.dvcignore` by its path, `root` the folder that holds `.dvc`, `subprojects` the
        folders below it with a `.dvc` of their own, which DVC leaves to those projects.
        """
        self._prefix = "" if root == "." else root + "/"
        self._subprojects: dict[str, list[str]] = {}
        for folder in subprojects:
            self._add_subproject(folder)
        self._files = {self._folder_of(path): (path, data) for path, data in files.items() if self._is_below(path)}
        self._simple = not self._files and not self._subprojects
        self._rules: dict[str, _Rules] = {}
        self._decided: dict[tuple[int, str], bool | None] = {}
        self._all_rules = 0
        findings = [] if self._simple else _unreadable(self._files)
        if findings:
            raise SpecError(findings)

    def ignores(self, path: str, is_dir: bool) -> bool:
        """Whether DVC passes a path over, itself or for a folder above it; outside the DVC root it never does."""
        if not self._is_below(path):
            return False
        below = path[len(self._prefix) :]
        if self._simple:
            return _ignored_by_default(below, is_dir)
        parts = below.split("/")
        rules = self._rules_of("/".join(parts[:-1]))
        return any(
            self._decide(rules, "/".join(parts[:count]), is_dir or count < len(parts))
            for count in range(1, len(parts) + 1)
        )

    def below(self, folder: str) -> Ignoring:
        """The same question for paths relative to a folder, as `Cache.save` asks it."""
        prefix = "" if folder == "." else folder + "/"
        return lambda relpath, is_dir: self.ignores(prefix + relpath, is_dir)

    def _is_below(self, path: str) -> bool:
        return path.startswith(self._prefix) and len(path) > len(self._prefix)

    def _folder_of(self, path: str) -> str:
        return path[len(self._prefix) :].rpartition("/")[0]

    def _add_subproject(self, folder: str) -> None:
        if self._is_below(folder):
            above, _, name = folder[len(self._prefix) :].rpartition("/")
            self._subprojects.setdefault(above, []).append(name)

    def _rules_of(self, folder: str) -> _Rules:
        """The rules that hold for the entries of a folder, in DVC's order."""
        if folder in self._rules:
            return self._rules[folder]
        inherited = self._rules_of(folder.rpartition("/")[0]) if folder else _Rules(_compiled(_DEFAULT_PATTERNS))
        own = [*self._patterns_in(folder, inherited), *(f"/{name}/" for name in self._subprojects.get(folder, ()))]
        more = _compiled(_anchored(pattern, folder) for pattern in own)
        # Of several threads that come here at once the first one's rules are everybody's.
        rules = self._rules.setdefault(folder, _Rules(inherited.rules + more) if more else inherited)
        self._all_rules += len(rules.rules)
        if self._all_rules > _ALL_RULES_LIMIT:
            file = f"{self._prefix}{folder}/{FILE_NAME}"
            raise SpecError(
                [Finding(file, 0, 0, "too many patterns in too many folders", "keep the rules in few files")]
            )
        return rules

    def _patterns_in(self, folder: str, inherited: _Rules) -> list[str]:
        if folder not in self._files:
            return []
        file = f"{folder}/{FILE_NAME}" if folder else FILE_NAME
        parts = file.split("/")
        hidden = any(
            inherited.verdict("/".join(parts[:count]), count < len(parts)) for count in range(1, len(parts) + 1)
        )
        return [] if hidden else [pattern for _, pattern in _patterns(self._files[folder][1].decode())]

    def _decide(self, rules: _Rules, path: str, is_dir: bool) -> bool | None:
        if not is_dir:
            return rules.verdict(path, False)  # asked once each, and no folder is too big to be asked about
        key = (id(rules), path)  # rules live as long as this object does
        if key not in self._decided:
            self._decided[key] = rules.verdict(path, is_dir)
        return self._decided[key]


def _ignored_by_default(path: str, is_dir: bool) -> bool:
    parts = path.split("/")
    return any(dvc_default_ignores(part, is_dir or number < len(parts) - 1) for number, part in enumerate(parts))


def _patterns(text: str) -> list[tuple[int, str]]:
    """Line numbers and patterns of a `.dvcignore`, as DVC reads it: stripped, without empty lines and comments."""
    rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = [(number, row.strip()) for number, row in enumerate(rows, start=1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _unreadable(files: Mapping[str, tuple[str, bytes]]) -> list[Finding]:
    findings: list[Finding] = []
    for path, data in files.values():
        try:
            patterns = _patterns(data.decode())
        except UnicodeDecodeError:
            findings.append(Finding(path, 0, 0, "not UTF-8", "DVC reads it as UTF-8 alone"))
            continue
        if len(patterns) > _RULES_LIMIT:
            findings.append(Finding(path, 0, 0, f"more than {_RULES_LIMIT:,} patterns", "ignore whole folders"))
            continue
        for number, pattern in patterns:
            if len(pattern) > _PATTERN_LIMIT or pattern.count("**") > _SPANS_LIMIT:
                message = (
                    f"the pattern is longer than {_PATTERN_LIMIT:,} letters, or holds more than {_SPANS_LIMIT} `**`"
                )
                findings.append(Finding(path, number, 1, message, "write several shorter patterns"))
                continue
            try:
                rules = _compiled([pattern])
                expressions = [rule.matches.pattern for rule in rules if rule.matches is not None]
                if any(len(_STAR.findall(expression)) > _STARS_LIMIT for expression in expressions):
                    raise ValueError("too many stars between brackets")
            except (ValueError, re.error) as error:
                findings.append(Finding(path, number, 1, f"not a pattern: {error}", "patterns are those of .gitignore"))
    return findings


def _anchored(pattern: str, folder: str) -> str:
    """A pattern of a file in `folder` as one of the root; see dvc.pathspec_math.change_rule."""
    if not folder:
        return pattern
    negated = pattern.startswith("!")
    rule = pattern.removeprefix("!")
    at_any_level = "/" not in rule[:-1] or rule.startswith("**/")
    rule = rule.removeprefix("**/") if at_any_level else rule.removeprefix("/")
    rule = rule.removeprefix("\\")
    return f"{'!' if negated else ''}/{folder}/{'**/' if at_any_level else ''}{rule}"


def _compiled(patterns: Iterable[str]) -> tuple[_Rule, ...]:
    rules: list[_Rule] = []
    for pattern in patterns:
        plain = _PLAIN.fullmatch(pattern)
        if plain is not None:
            negated, start, path, end = plain.groups()
            is_path = bool(start) or "/" in path
            rules.append(_Rule(not negated, bool(end), path if is_path else "", "" if is_path else path))
            continue
        to_regex, mark = _pathspec()
        regex, ignores = to_regex(pattern)
        if regex is not None and ignores is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of brackets within brackets, which mean themselves
                matches = re.compile(_tamed(regex.replace(mark, "(?:")))
            rules.append(_Rule(ignores, pattern.endswith("/"), matches=matches))
    return tuple(rules)


def _tamed(regex: str) -> str:
    """The same expression without choices that cannot matter, which would otherwise multiply.

    Of the texts that a `*` may stand for before letters of a fixed number and another `*`, the shortest is as good as
    any. And folders are passed one by one, not letter by letter.
    """
    regex = regex.replace("(?:.+/)?", "(?:[^/]+/)*").replace("(?:/.+)?", "(?:/[^/]+)*")
    return _STAR_BEFORE_STAR.sub(r"(?>[^/]*?\1)", regex)


def _pathspec() -> tuple[Callable[[str], tuple[Any, bool | None]], str]:
    """The translation of patterns that DVC uses, and the name that its expressions give to the mark of a folder."""
    try:
        from pathspec.patterns.gitignore.spec import _DIR_MARK, GitIgnoreSpecPattern  # imported late: start-up

        return GitIgnoreSpecPattern.pattern_to_regex, f"(?P<{_DIR_MARK}>"
    except ImportError:  # pathspec before 1.0
        from importlib import import_module

        return import_module("pathspec.patterns").GitWildMatchPattern.pattern_to_regex, "(?P<ps_d>"
