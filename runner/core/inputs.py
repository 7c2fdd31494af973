"""The inputs of a stage as digests and values: from git, from DVC, or from what other stages leave.

A path may be a file in git, tracked data, an output, something inside one of these, or a folder that mixes them all;
each case is one function below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core.actions import Action
from runner.core.digests import Member, folder_digest, inside
from runner.core.graph import OutputIndex
from runner.core.nouns import Address, Param, Stage, TrackedData, is_external
from runner.core.recorded import Inputs, OutFact, Recorded
from runner.errors import InputError
from runner.values import dataclass, field

Left = Mapping[Address, "dict[str, OutFact] | None"]
"""What each stage leaves, by path; None while it is not known."""


@dataclass
class Gathered:
    """What is known of a stage's inputs."""

    deps: dict[str, str] = field(default_factory=dict)
    """Path to digest."""
    forms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of those deps that count by what they say the `md5` and the `size` of their bytes."""
    params: dict[tuple[str, str], Any] = field(default_factory=dict)
    """File and key (empty for the whole file) to value."""
    environment: str | None = None
    missing: list[str] = field(default_factory=list)
    """What is nowhere to be found: findings."""
    action: Action | None = None
    """What the unknown inputs force: unknown before probe before wait; None when everything is known."""
    reasons: list[str] = field(default_factory=list)
    fetch: list[str] = field(default_factory=list)
    """Folders whose listing would make the answer known."""

    def force(self, action: Action, reason: str) -> None:
        """Something is not known: the strongest of the actions counts, each reason stays once."""
        if self.action is None or _STRENGTH[action] > _STRENGTH[self.action]:
            self.action = action
        if reason not in self.reasons:
            self.reasons.append(reason)


_STRENGTH = {Action.WAIT: 0, Action.PROBE: 1, Action.UNKNOWN: 2}
_NOTHING: dict[str, OutFact] = {}


def _waits_for(path: str, owner: Address) -> str:
    return f"waits for {path} of {owner.stage}"


class _NotKnown(Exception):
    """An input cannot be told yet: what that forces, and why."""

    def __init__(self, action: Action, reason: str, fetch: str | None = None) -> None:
        super().__init__(reason)
        self.action = action
        self.reason = reason
        self.fetch = fetch

    def tell(self, found: Gathered) -> None:
        """Say so to what is gathered."""
        found.force(self.action, self.reason)
        if self.fetch is not None:
            found.fetch.append(self.fetch)


class Gatherer:
    """Answers for one desired commit and one recorded state; `left` grows while stages are settled."""

    def __init__(
        self,
        inputs: Inputs,
        recorded: Recorded,
        producers: Mapping[str, Address],
        outputs: OutputIndex,
        tracked: Mapping[str, TrackedData],
        left: Left,
    ) -> None:
        self._inputs = inputs
        self._recorded = recorded
        self._producers = producers
        self._makers = {path: owner for path, owner in producers.items() if not is_external(path)}
        self._outputs = outputs
        self._tracked = tracked
        self._data = OutputIndex({path: Address("", path) for path in tracked})
        self._left = left
        self._static: dict[str, str | None] = {}
        self._read: dict[tuple[str, str | None], Any] = {}
        """Parameters of files that nobody makes: file and key to value."""

    def gather(self, stage: Stage) -> Gathered:
        """All inputs of a stage, given what the stages before it left."""
        found = Gathered()
        for path in stage.deps:
            known = self._static.get(path)
            owner = None if known is not None else self._makers.get(path)
            if known is not None:
                found.deps[path] = known
            elif owner is not None:
                # Nearly every dep is one of these two. In a plan after a change thousands are not there yet, and an
                # exception for each would take longer than all the rest.
                fact = (self._left.get(owner) or _NOTHING).get(path)
                if fact is not None:
                    found.deps[path] = fact.md5
                else:
                    found.force(Action.WAIT, _waits_for(path, owner))
            else:
                try:
                    self._take_dep(found, path)
                except _NotKnown as gap:
                    gap.tell(found)
        if stage.meanings:
            self._take_meanings(found, stage)
        for param in stage.params:
            try:
                self._take_param(found, param)
            except _NotKnown as gap:
                gap.tell(found)
        if stage.environment is not None:
            lock = stage.environment.lock
            found.environment = self._inputs.environment_digest(lock, stage.environment.python)
            if found.environment is None:
                found.missing.append(f"the lock file {lock} of its environment is not in git")
        return found

    def digest(self, path: str) -> str | None:
        """The digest of a path; None where nothing is there. Raises _NotKnown."""
        if path in self._static:
            return self._static[path]
        if is_external(path):
            return self._external(path)
        above = self._outputs.at_or_above(path)
        if above is not None:
            return self._from_output(path, above)
        source = self._data.at_or_above(path) if self._tracked else None
        if source is not None:
            answer = self._from_tracked(path, self._tracked[source])
        elif self._outputs.below(path) or self._data.below(path):
            return self._mixed(path)
        else:
            answer = self._inputs.file_digest(path) or self._inputs.folder_digest(path)
        self._static[path] = answer
        return answer

    def _take_dep(self, found: Gathered, path: str) -> None:
        digest = self.digest(path)
        if digest is None:
            found.missing.append(f"dep {path} is neither in git nor tracked by DVC nor made by a stage")
        else:
            found.deps[path] = digest

    def _take_meanings(self, found: Gathered, stage: Stage) -> None:
        """What code in git says, in place of its bytes."""
        for path, kind in stage.meanings:
            if path not in found.deps or self._is_made(path):
                continue
            meaning = self._inputs.meaning(path, kind)
            if meaning is not None:
                found.forms[path] = {"md5": found.deps[path], "size": meaning[1]}
                found.deps[path] = meaning[0]

    def _take_param(self, found: Gathered, param: Param) -> None:
        asked = (param.file, param.key)
        if asked in self._read:
            found.params[param.file, param.key or ""] = self._read[asked]
            return
        values = self._values(param.file)
        if values is None:
            found.missing.append(f"parameter file {param.file} is not in git")
        elif param.key is None:
            found.params[param.file, ""] = dict(values)
        else:
            present, value = self._inputs.lookup(values, param.key)
            if present:
                found.params[param.file, param.key] = value
                if not self._is_made(param.file):
                    self._read[asked] = value
            elif self._is_made(param.file):
                raise _NotKnown(Action.UNKNOWN, f"{param.file}, which a stage made, has no {param.key}")
            else:
                found.missing.append(f"parameter {param.key} is not in {param.file}")

    def _is_made(self, file: str) -> bool:
        return self._outputs.at_or_above(file) is not None or self._data.at_or_above(file) is not None

    def _values(self, file: str) -> Mapping[str, Any] | None:
        if not self._is_made(file):
            return self._inputs.params(file)
        digest = self.digest(file)
        if digest is None:
            return None
        data = self._recorded.small(digest)
        if data is None:
            raise _NotKnown(Action.UNKNOWN, f"the values in {file} are not recorded here", digest)
        try:
            return self._inputs.parse_params(file, data)
        except InputError as error:
            raise _NotKnown(Action.UNKNOWN, f"{file}, which a stage made, cannot be read: {error.message}") from error

    def _external(self, path: str) -> str:
        digest = self._inputs.probe(path)
        if digest is None:
            raise _NotKnown(Action.PROBE, f"{path} is outside the repository")
        return digest

    def _fact(self, path: str) -> OutFact:
        owner = self._producers[path]
        outs = self._left.get(owner)
        if outs is None or path not in outs:
            raise _NotKnown(Action.WAIT, _waits_for(path, owner))
        return outs[path]

    def _from_output(self, path: str, above: str) -> str | None:
        fact = self._fact(above)
        if above == path:
            return fact.md5
        return inside(self._members(fact.md5, above), path[len(above) + 1 :])

    def _from_tracked(self, path: str, data: TrackedData) -> str | None:
        if data.path != path:
            return inside(self._members(data.md5, data.path), path[len(data.path) + 1 :])
        # Digests of DVC before 3.0 hash text with other line ends: another name space, so it is said in the digest.
        return f"md5-dos2unix:{data.md5}" if data.legacy else data.md5

    def _members(self, md5: str, path: str) -> tuple[Member, ...]:
        if not md5.endswith(".dir"):
            return ()
        members = self._recorded.listing(md5)
        if members is None:
            raise _NotKnown(Action.UNKNOWN, f"what is inside {path} is not known here: its listing is only in DVC", md5)
        return members

    def _mixed(self, path: str) -> str | None:
        """A folder with files of git and data of DVC side by side."""
        members = list(self._inputs.folder(path) or ())
        start = 0 if path == "." else len(path) + 1
        for out in self._outputs.below(path):
            members.extend(self._placed(out[start:], self._fact(out).md5, out))
        for name in self._data.below(path):
            members.extend(self._placed(name[start:], self._tracked[name].md5, name))
        return folder_digest(members) if members else None

    def _placed(self, relpath: str, md5: str, path: str) -> list[Member]:
        if not md5.endswith(".dir"):
            return [(relpath, md5)]
        return [(f"{relpath}/{name}", digest) for name, digest in self._members(md5, path)]
