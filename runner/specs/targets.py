"""The target of an environment: a command, or servers, as the spec says it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from runner.core.targets import TIMEOUT_SECONDS, WITHIN_SECONDS, CommandTarget, ServerTarget, Target
from runner.core.units import seconds_of
from runner.specs import places, yaml12
from runner.specs.left_out import Faults
from runner.specs.places import Locator
from runner.values import dataclass

HANDLED = ("server", "command")
_WATCHED = ("urls", "within")
"""What is said of servers to the runner, and not to them."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a commit, as far as a target asks for them."""

    root: str
    """The folder that paths start from."""
    id_of: Callable[[str], str | None]
    """The id in git of a file or folder, by its path from the root of the repository; None where there is none."""
    is_program: Callable[[str], bool]
    """Whether git has a file there that may be executed."""


@dataclass(frozen=True, slots=True)
class TargetReader:
    """Reads the target of one environment; what is wrong with it is noted in the faults."""

    locator: Locator
    faults: Faults
    files: Files

    def target(self, stated: Mapping[str, Any], at: yaml12.Path) -> Target:
        """The target of a merged spec; servers that pull where it names none."""
        kinds = [kind for kind in HANDLED if kind in stated]
        if len(kinds) > 1:
            self._add((*at, "target"), f"a target is of one kind, and this one says {' and '.join(kinds)}", "keep one")
        if "command" in kinds:
            return self._command(stated["command"], (*at, "target", "command"))
        row = stated.get("server") or {}
        within = seconds_of(row.get("within", WITHIN_SECONDS))
        urls = tuple(dict.fromkeys(url.rstrip("/") for url in row.get("urls", ())))
        return ServerTarget(urls, WITHIN_SECONDS if within is None else within)

    def told(self, stated: Mapping[str, Any], at: yaml12.Path) -> Mapping[str, Any]:
        """What a release says of the target: all that makes another deployment of it."""
        found = dict(stated)
        if isinstance(found.get("server"), Mapping):
            found["server"] = {name: value for name, value in found["server"].items() if name not in _WATCHED}
        if "command" in found:
            found["command"] = {**found["command"], **self._deps(found["command"], at)}
        return found

    def _command(self, row: Mapping[str, Any], at: yaml12.Path) -> CommandTarget:
        timeout = seconds_of(row.get("timeout", TIMEOUT_SECONDS))
        if "run" not in row:  # of an environment whose target is of another kind than the Deployment's
            self._add(at, "the command of this environment has no `run`", "say what is to run")
        if both := sorted({*row.get("secrets", ())} & {*row.get("env", {})}):
            self._add((*at, "secrets"), f"`{both[0]}` stands in both `env` and `secrets`", "keep one of them")
        return CommandTarget(
            run=_words(row.get("run", "")),
            undeploy=_words(row.get("undeploy", "")),
            timeout_seconds=TIMEOUT_SECONDS if timeout is None else timeout,
            retries=row.get("retries", 0),
            secrets=tuple(dict.fromkeys(row.get("secrets", ()))),
            env={name: _text(value) for name, value in row.get("env", {}).items()},
        )

    def _deps(self, row: Mapping[str, Any], at: yaml12.Path) -> Mapping[str, Any]:
        """The files that count by what they hold, each with its id in git, and those of them that may be executed.

        Of a folder the id says that, too.
        """
        found, programs = {}, []
        for index, written in enumerate(row.get("deps", ())):
            path = places.joined(self.files.root, written)
            oid = self.files.id_of(path) if path is not None else None
            if oid is None:
                where: yaml12.Path = (*at, "target", "command", "deps", index)
                self._add(where, f"`{written}` is not in the commit", "name a file or a folder that git has")
            else:
                found[written] = oid
                programs += [written] if path is not None and self.files.is_program(path) else []
        if programs:  # only then: a target without programs says what it said before modes counted
            return {"deps": found, "executable": sorted(set(programs))}
        return {"deps": found} if found else {}

    def _add(self, path: yaml12.Path, message: str, hint: str) -> None:
        self.faults.add(self.locator.finding(path, message, hint))


def _words(stated: str | list[str]) -> str:
    """A command for the shell."""
    return stated if isinstance(stated, str) else shlex.join(stated)


def _text(value: object) -> str:
    """A value of the environment, as a stage gets it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
