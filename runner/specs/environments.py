"""The environments of a Deployment document, each with its overlay merged into what the Deployment says."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.core import serving, units
from runner.core.approvals import Required
from runner.core.budgets import Budget, default_query
from runner.core.environments import Environment
from runner.core.gates import Gate
from runner.core.moments import written
from runner.core.releases import PRODUCTION, Freeze
from runner.specs import yaml12
from runner.specs.left_out import Faults
from runner.specs.places import Locator
from runner.specs.targets import HANDLED as TARGETS
from runner.specs.targets import Files, TargetReader
from runner.values import dataclass

HANDLED = frozenset(["environments", "approvals", "freeze", "formats", "rollback", "budget", *serving.HANDLED])
AT_ONCE = ("direct", "blueGreen")
"""Strategies by which a new version takes over all at once."""
_GATES = ("gates", "acceptEvidence", "budget")
_DAY = datetime.timedelta(days=1)

ReadGates = Callable[[Mapping[str, Any], yaml12.Path], tuple[Gate, ...]]
"""The gates in `gates` of a mapping, which stands at a path of the document."""


@dataclass(frozen=True, slots=True)
class EnvironmentReader:
    """Reads the environments of one document; what is wrong with them is noted in the faults."""

    spec: Mapping[str, Any]
    locator: Locator
    faults: Faults
    name: str
    """Of the Deployment."""
    gates: tuple[Gate, ...]
    """Of the Deployment itself."""
    read_gates: ReadGates
    files: Files

    def environments(self) -> tuple[Environment, ...]:
        """All of them, those before which others come first; `production` where the document names none."""
        rows = self.spec.get("environments")
        if rows is None:
            self._check_serving({}, (), set())
            return (self._environment({"name": PRODUCTION}, ()),)
        names = [row["name"] for row in rows]
        for index, row in enumerate(rows):
            at: yaml12.Path = ("environments", index)
            if row["name"] in names[:index]:
                self._add((*at, "name"), f"a second environment is named `{row['name']}`", "rename one of them")
            source = row.get("from")
            if source is not None and source not in names[:index]:
                why = "comes after it" if source in names else "is not there"
                hint = "an environment is listed after the one that its versions come from"
                self._add((*at, "from"), f"the environment `{source}` {why}", hint)
        told: set[tuple[yaml12.Path, str]] = set()
        for index, row in enumerate(rows):
            self._check_serving(row.get("spec", {}), ("environments", index, "spec"), told)
        return tuple(self._environment(row, ("environments", index, "spec")) for index, row in enumerate(rows))

    def unhandled(self) -> Iterator[str]:
        """Fields that are understood and not acted on yet."""
        for name, only in (("strategy", AT_ONCE), ("target", TARGETS)):
            yield from (f"{name}.{kind}" for kind in self.spec.get(name, ()) if kind not in only)

    def _environment(self, row: Mapping[str, Any], at: yaml12.Path) -> Environment:
        overlay = row.get("spec", {})
        merged = dict(self._overlaid(overlay))
        if "target" in overlay:
            merged["target"] = _target(self.spec.get("target", {}), overlay["target"])
        gates = self.read_gates(overlay, at) if "gates" in overlay else self.gates
        freeze_at = at if "freeze" in overlay else ()
        freezes = (self._freeze(one, (*freeze_at, "freeze", n)) for n, one in enumerate(merged.get("freeze", ())))
        requires = _requires(row.get("requires", {}))
        approvals = _approvals([*merged.get("approvals", ()), *requires.get("approvals", ())])
        plain = all(one == Required(one.role) for one in approvals)
        version = self.spec["model"].get("version")
        targets = TargetReader(self.locator, self.faults, self.files)
        stated_target, target_at = merged.get("target", {}), at if "target" in overlay else ()
        told = {"target": targets.told(stated_target, target_at)} if "target" in merged else {}
        return Environment(
            name=row["name"],
            source=row.get("from", ""),
            gates=gates,
            accept_evidence=merged.get("acceptEvidence", False),
            approvals=approvals,
            budget=self._budget(merged.get("budget"), at if "budget" in overlay else ()),
            soak_seconds=self._soak(row, requires, at),
            freezes=tuple(freeze for freeze in freezes if freeze is not None),
            formats=tuple(merged.get("formats", ())),
            version=None if version is None else int(str(version).removeprefix("v")),
            strategy=", ".join(kind for kind in merged.get("strategy", ()) if kind not in AT_ONCE),
            serving={**{name: merged[name] for name in serving.TOLD if name in merged}, **told},
            target=targets.target(stated_target, target_at),
            rolls_back=merged.get("rollback", "automatic") == "automatic",
            stated={name: merged[name] for name in _GATES if name in merged}
            | ({} if plain else {"approvals": [one.as_json() for one in approvals]})
            | {name: requires[name] for name in ("soak",) if name in requires},
        )

    def _overlaid(self, overlay: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**self.spec, **{name: _merged(self.spec.get(name), value) for name, value in overlay.items()}}

    def _check_serving(self, overlay: Mapping[str, Any], at: yaml12.Path, told: set[tuple[yaml12.Path, str]]) -> None:
        """What servers are told has to be what they can do. told: what was said of environments before."""
        merged = self._overlaid(overlay)
        if not serving.HANDLED & merged.keys():
            return
        for fault in serving.read_serving(merged)[1]:
            path = (*at, *fault.path) if _holds(overlay, fault.path) else fault.path
            if (path, fault.message) not in told:
                told.add((path, fault.message))
                self._add(path, fault.message, fault.hint)

    def _budget(self, said: Mapping[str, Any] | None, at: yaml12.Path) -> Budget | None:
        """What may fail; a finding where that cannot be asked for."""
        if said is None:
            return None
        place: yaml12.Path = (*at, "budget")
        window, url = said.get("window"), said.get("prometheus")
        objective, seconds = said.get("objective"), units.some_seconds_of(window)
        if objective is None or window is None or url is None:
            names = [name for name in ("objective", "window", "prometheus") if name not in said]
            self._add(place, f"a budget needs {' and '.join(f'`{name}`' for name in names)}", "add it here or above")
            return None
        if seconds is None:
            self._add(
                (*place, "window"), f"`window: {str(window)[:60]}` is no length of time", "write one such as `30d`"
            )
            return None
        selector = said.get("selector", f'job="{self.name}"').strip().strip("{}")
        return Budget(objective, str(window), url, said.get("query") or default_query(selector, seconds))

    def _soak(self, row: Mapping[str, Any], requires: Mapping[str, Any], at: yaml12.Path) -> float:
        """How long a release has to stand elsewhere first; a finding where nothing comes from elsewhere."""
        if "soak" not in requires:
            return 0.0
        place: yaml12.Path = (*at[:-1], "requires", "soak")
        seconds = units.some_seconds_of(requires["soak"])
        if seconds is None:
            self._add(place, f"`soak: {str(requires['soak'])[:60]}` is no length of time", "write one such as `24h`")
        if "from" not in row:
            hint = "say with `from` where a release stands first, or take `soak` away"
            self._add(place, f"nothing stands anywhere before it comes to `{row['name']}`", hint)
        return seconds or 0.0

    def _freeze(self, row: Mapping[str, Any], at: yaml12.Path) -> Freeze | None:
        start, end = (self._moment(row[name], (*at, name)) for name in ("from", "until"))
        if start is None or end is None:
            return None
        if "T" not in row["until"]:
            end = end + _DAY if end.date() < datetime.date.max else datetime.datetime.max.replace(tzinfo=datetime.UTC)
        if end <= start:
            self._add((*at, "until"), f"`until: {row['until']}` is before `from: {row['from']}`", "swap them")
            return None
        return Freeze(written(start), written(end), row.get("reason", ""))

    def _moment(self, text: str, at: yaml12.Path) -> datetime.datetime | None:
        try:
            return datetime.datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=datetime.UTC)
        except ValueError:
            self._add(at, f"`{text}` is no time of the calendar", "write it as `2026-12-20` or `2026-12-20T18:00Z`")
            return None

    def _add(self, path: yaml12.Path, message: str, hint: str) -> None:
        self.faults.add(self.locator.finding(path, message, hint))


def _requires(said: Any) -> Mapping[str, Any]:
    """What an environment requires, with its two short forms written out: a role, or a list of them."""
    if isinstance(said, Mapping):
        return said
    return {"approvals": [said] if isinstance(said, str) else said}


def _approvals(rows: Sequence[Any]) -> tuple[Required, ...]:
    """Who has to sign, each role once, as its strictest row says."""
    found: dict[str, Required] = {}
    for row in rows:
        one = Required(row) if isinstance(row, str) else _required(row)
        known = found.get(one.role, one)
        found[one.role] = Required(one.role, max(one.count, known.count), one.not_author or known.not_author)
    return tuple(found.values())


def _required(row: Mapping[str, Any]) -> Required:
    return Required(row["role"], row.get("count", 1), row.get("notAuthor", False))


def _merged(before: Any, overlay: Any) -> Any:
    if not (isinstance(before, Mapping) and isinstance(overlay, Mapping)):
        return overlay
    return {**before, **{name: _merged(before.get(name), value) for name, value in overlay.items()}}


def _holds(overlay: Mapping[str, Any], path: yaml12.Path) -> bool:
    """Whether a field is one of the overlay's own."""
    inside: Any = overlay
    for name in path:
        if not isinstance(inside, Mapping) or name not in inside:
            return False
        inside = inside[name]
    return True


def _target(before: Mapping[str, Any], overlay: Mapping[str, Any]) -> Mapping[str, Any]:
    """A target of another kind takes the place of the Deployment's; one of the same kind is merged with it."""
    of_that_kind = {kind: value for kind, value in before.items() if kind in overlay}
    return {kind: _merged(of_that_kind.get(kind), value) for kind, value in overlay.items()}
