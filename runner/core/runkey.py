"""The run key: the digest of everything that could change the result of a run, and the words for what changed.

One walk over the same fields gives both, so that a key can never differ without a reason, nor a reason be given
where the key is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from runner.core.canonical import canonical_bytes, canonical_digest, plain, plain_digest
from runner.core.nouns import Stage
from runner.values import dataclass

KEY_VERSION = 1
"""Version of the walk below; a change of it changes every key, so it needs an ADR."""

Field = tuple[str, str, Any]
"""Kind (`cmd`, `dep`, `param` …), name within the kind, value."""


@dataclass(frozen=True)
class Material:
    """All that enters a run key."""

    cmd: str | tuple[str, ...]
    wdir: str
    shell: str
    deps: tuple[tuple[str, str], ...]
    """Path and digest, sorted by path."""
    params: tuple[tuple[str, str, Any], ...]
    """File, key (empty for the whole file) and value, sorted."""
    outs: tuple[tuple[str, bool, bool], ...]
    """Path, cache, persist, sorted by path."""
    env: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    environment: str | None = None
    """Digest of the declared environment."""
    occasion: str | None = None
    """What an always-changed stage runs once for: a commit, a tick, a person's wish."""
    uses: str = ""
    """Name and version of the stage of the library that `cmd` runs."""
    given: tuple[tuple[str, str], ...] = ()
    """The arguments of that stage, sorted. They stand in `cmd` as well; here they explain what changed."""

    def fields(self) -> Iterator[Field]:
        """The one walk over everything that counts."""
        yield "version", "", KEY_VERSION
        yield "cmd", "", list(self.cmd) if isinstance(self.cmd, tuple) else self.cmd
        yield "wdir", "", self.wdir
        yield "shell", "", self.shell
        for path, digest in self.deps:
            yield "dep", path, digest
        for file, key, value in self.params:
            yield "param", f"{file}:{key}" if key else file, value
        for path, cache, persist in self.outs:
            yield "out", path, {"cache": cache, "persist": persist}
        for name, value in self.env:
            yield "env", name, value
        if self.seed is not None:
            yield "seed", "", self.seed
        if self.environment is not None:
            yield "environment", "", self.environment
        if self.occasion is not None:
            yield "occasion", "", self.occasion
        if self.uses:
            yield "uses", "", self.uses
            for name, text in self.given:
                yield "with", name, text

    def as_json(self) -> dict[str, Any]:
        """The fields as `{kind: value}` and `{kind: {name: value}}`: what a record keeps and a key digests."""
        return self._json

    @cached_property
    def _json(self) -> dict[str, Any]:
        return grouped(self.fields())


def grouped(fields: Iterator[Field]) -> dict[str, Any]:
    """Fields as nested plain JSON, named fields below their kind."""
    result: dict[str, Any] = {}
    for kind, name, value in fields:
        said = value if type(value) is str else plain(value)
        if not name:
            result[kind] = said
        elif kind in result:
            result[kind][name] = said
        else:
            result[kind] = {name: said}
    return result


def material_of(
    stage: Stage,
    *,
    shell: str,
    deps: Mapping[str, str],
    params: Mapping[tuple[str, str], Any],
    environment: str | None = None,
    occasion: str | None = None,
) -> Material:
    """The material of a stage whose inputs are known: path to digest, (file, key) to value."""
    return Material(
        cmd=stage.cmd if stage.cmd_is_list else stage.cmd[0],
        wdir=stage.wdir,
        shell=shell,
        deps=tuple(sorted(deps.items())),
        params=tuple((file, key, value) for (file, key), value in sorted(params.items(), key=lambda item: item[0])),
        outs=tuple(sorted((out.path, out.cache, out.persist) for out in stage.outs)),
        env=stage.env,
        seed=stage.seed,
        environment=environment,
        occasion=occasion,
        uses=stage.uses,
        given=stage.given,
    )


def run_key(material: Material) -> str:
    """SHA-256 of the canonical JSON of the material, lower-case hex."""
    return plain_digest(material.as_json())


def key_of(material_json: Mapping[str, Any]) -> str:
    """The run key of material as a record keeps it; equals `run_key` of what it was made from."""
    return canonical_digest(dict(material_json))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why two materials have different keys, a phrase for each field that differs; empty when they are equal."""
    reasons: list[str] = []
    for kind in _ORDER:
        before, after = old.get(kind), new.get(kind)
        if _same(before, after) or (kind == "cmd" and old.get("with") != new.get("with")):
            continue  # what `with` says stands in the command, too
        if kind in _NAMED:
            reasons.extend(_named_differences(kind, before or {}, after or {}))
        else:
            one, other = shown_apart(before, after)
            reasons.append(_WHOLE[kind].format(before=one, after=other))
    return reasons


def _same(one: Any, other: Any) -> bool:
    """Whether two values count as one in a key, in which `1`, `1.0` and `true` are three."""
    return one == other and (type(one) is str or canonical_bytes(one) == canonical_bytes(other))


_LONGEST = 60
"""Characters of a value in a line for people."""
_BEFORE = 20
"""As many characters are shown before the first that differs."""
_NAMED = ("with", "dep", "param", "out", "env")
_WHOLE = {
    "version": "key version {before} → {after}",
    "cmd": "cmd changed: {before} → {after}",
    "wdir": "wdir {before} → {after}",
    "shell": "shell {before} → {after}",
    "seed": "seed {before} → {after}",
    "environment": "environment changed",
    "uses": "uses {before} → {after}",
    "occasion": "runs once for each commit: {before} → {after}",
}
_ORDER = (
    *("uses", "with", "cmd", "dep", "param", "env", "seed", "environment", "out", "wdir", "shell", "occasion"),
    "version",
)


def _named_differences(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield f"{kind} {name} added" + (f": {shown(after[name])}" if kind in ("param", "env", "with") else "")
        elif name not in after:
            yield f"{kind} {name} removed"
        elif _same(before[name], after[name]):
            continue
        elif kind == "dep":
            yield f"dep {name} changed"
        elif kind == "param" and isinstance(before[name], dict) and isinstance(after[name], dict):
            yield from _named_differences("param", _prefixed(name, before[name]), _prefixed(name, after[name]))
        else:
            yield f"{kind} {name}: {' → '.join(shown_apart(before[name], after[name]))}"


def _prefixed(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    joint = "." if ":" in name else ":"
    return {f"{name}{joint}{key}": value for key, value in values.items()}


def shown(value: Any) -> str:
    """A value in one short line for people."""
    if isinstance(value, dict) and len(value) == 1:
        (tag, inner), *_ = value.items()
        if tag in ("!float", "!time"):
            return str(inner)
    text = value if isinstance(value, str) else _compact(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "…"


def shown_apart(one: Any, other: Any) -> tuple[str, str]:
    """Two values that differ, each in one short line, so that people see the difference.

    Where they would look alike (blanks, a letter far behind, `1` and `"1"`) they are quoted from where they differ.
    """
    texts = shown(one), shown(other)
    if texts[0] != texts[1]:
        return texts
    exact = _marked(_compact(one, ascii_only=True)), _marked(_compact(other, ascii_only=True))
    pairs = zip(*exact, strict=False)
    same = next((at for at, (a, b) in enumerate(pairs) if a != b), min(map(len, exact)))
    start = max(0, same - _BEFORE) if max(map(len, exact)) > _LONGEST else 0
    first, second = (_window(text, start) for text in exact)
    return first, second


def _marked(text: str) -> str:
    """Blanks that stand side by side as letters, since every page and many a terminal makes one of them."""
    return re.sub(" {2,}", lambda found: "␣" * len(found[0]), text)


def _window(text: str, start: int) -> str:
    end = start + _LONGEST
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _compact(value: Any, *, ascii_only: bool = False) -> str:
    import json

    return json.dumps(value, ensure_ascii=ascii_only)
