"""Where a release is put to use, and what is known of that: the outcome of a command, or what servers say.

What is recorded is a wish; what is live is told by outcomes and by servers. A decision about both is made here, of
values alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from runner.errors import ExitCode
from runner.values import dataclass, field

DEPLOY, UNDEPLOY = "deploy", "undeploy"
"""What a command was called for."""
WITHIN_SECONDS = 300.0
"""How long servers may take to serve a new version, unless the spec says otherwise."""
TIMEOUT_SECONDS = 600.0
"""Of one try of a command, unless the spec says otherwise."""


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """A team's own command, which is given the release."""

    run: str
    """For the shell."""
    undeploy: str = ""
    """What takes it away again; empty where nothing does."""
    timeout_seconds: float = TIMEOUT_SECONDS
    retries: int = 0
    secrets: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """Model servers that pull."""

    urls: tuple[str, ...] = ()
    """Where they are asked what they serve; empty where nobody asks."""
    within_seconds: float = WITHIN_SECONDS


Target = CommandTarget | ServerTarget


class Reach(Enum):
    """How far a release has come."""

    DEPLOYED = "deployed"
    """The command ended well, or every server serves it."""
    PENDING = "pending"
    """It is to be deployed, or servers are still on their way."""
    FAILED = "failed"
    """The command failed, or a server cannot serve it."""
    UNREACHABLE = "unreachable"
    """No server says anything else, and one cannot be asked."""
    UNKNOWN = "unknown"
    """Nobody was asked."""


class Answer(Enum):
    """What a server says of a version."""

    SERVES = "serves"
    BEHIND = "behind"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Asked:
    """A server that was asked: its status as it gave it, or why there is none."""

    url: str
    status: Mapping[str, Any] | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """What a server said of one version."""

    url: str
    answer: Answer
    version: int | None
    """The version that it serves, as far as it says so."""
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, for `--json`."""
        return {"url": self.url, "state": self.answer.value, "version": self.version, "why": self.why}


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a release where it is put to use."""

    kind: str
    """`command` or `server`."""
    reach: Reach
    version: int | None
    why: str = ""
    """For people; empty where there is nothing to add."""
    servers: tuple[Server, ...] = ()
    code: ExitCode = ExitCode.DONE
    """What a reconcile ends with because of it."""

    @property
    def is_to_do(self) -> bool:
        """Whether a reconcile runs a command for it."""
        return self.kind == "command" and self.reach is Reach.PENDING

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, for `--json`."""
        return {
            "kind": self.kind,
            "state": self.reach.value,
            "version": self.version,
            "why": self.why,
            "servers": [server.as_json() for server in self.servers],
        }


# ----- commands


@dataclass(frozen=True, slots=True)
class Deployed:
    """The last recorded outcome of a command in an environment."""

    event: str
    release: int
    """The record of the release that it was called with."""
    version: int
    succeeded: bool
    why: str
    run: str
    """Id of the run, which names its log."""
    good: int | None
    """The version that was deployed well last, and not taken away since."""


def deployed_from(row: Mapping[str, Any] | None) -> Deployed | None:
    """What the file of an environment says; raises KeyError or TypeError for what is none."""
    if row is None:
        return None
    names = ("event", "release", "version", "succeeded", "why", "run", "good")
    return Deployed(*(row[name] for name in names))


def command_standing(live: Mapping[str, Any], deployed: Deployed | None) -> Standing:
    """What is known of the release that stands, whose target is a command; `live` is its file."""
    version = live["version"]
    if deployed is None or deployed.release != live["record"] or deployed.event != DEPLOY:
        before = f"v{deployed.good} is deployed" if deployed is not None and deployed.good is not None else ""
        return Standing("command", Reach.PENDING, version, before or "nothing is deployed yet")
    if deployed.succeeded:
        return Standing("command", Reach.DEPLOYED, version)
    return Standing("command", Reach.FAILED, version, deployed.why, code=ExitCode.FAILED)


def gone_standing(deployed: Deployed, undeploys: bool) -> Standing | None:
    """What is known where nothing stands any more that is deployed by a command; None where nothing is to be said.

    `undeploys`: whether the release that was deployed last says how it is taken away.
    """
    if deployed.event == DEPLOY:
        return Standing("command", Reach.PENDING, deployed.version, "to be taken away") if undeploys else None
    if deployed.succeeded:
        return None
    return Standing("command", Reach.FAILED, deployed.version, f"not taken away: {deployed.why}")


def after_deploy(before: Mapping[str, Any] | None, number: int, stated: Mapping[str, Any]) -> Mapping[str, Any]:
    """The file of an environment once record `number` states the outcome of a command."""
    good = before["good"] if before is not None else None
    if stated["outcome"]["succeeded"]:
        good = stated["version"] if stated["event"] == DEPLOY else None
    return {
        "schema": 1,
        "record": number,
        "deployment": stated["deployment"],
        "environment": stated["environment"],
        "event": stated["event"],
        "release": stated["release"],
        "version": stated["version"],
        "succeeded": stated["outcome"]["succeeded"],
        "why": stated["outcome"]["message"],
        "run": stated["runId"],
        "good": good,
    }


def deploys_nothing(memory: Mapping[str, Any] | None, stated: Mapping[str, Any]) -> str:
    """Why an outcome can be of no release of its environment; empty where it can."""
    versions = memory["versions"] if memory is not None else []
    if [stated["version"], stated["release"]] in versions:
        return ""
    return f"deploys v{stated['version']} of record {stated['release']}, which is no release of it"


# ----- servers


def server_standing(
    live: Mapping[str, Any], asked: Sequence[Asked], target: ServerTarget, age_seconds: float
) -> Standing:
    """What servers say of the release that stands; `age_seconds` is how long ago it was made."""
    servers = tuple(_server(one, live) for one in asked)
    version = live["version"]
    late = age_seconds > target.within_seconds
    code = ExitCode.FAILED if late else ExitCode.DONE
    failed = [row for row in servers if row.answer is Answer.FAILED]
    behind = [row for row in servers if row.answer is Answer.BEHIND]
    silent = [row for row in servers if row.answer is Answer.UNREACHABLE]
    if failed:
        # Where another server can serve it, the fault is rather of the host, and going back would harm the good one.
        serves = any(row.answer is Answer.SERVES for row in servers)
        return Standing("server", Reach.PENDING if serves else Reach.FAILED, version, _said(failed), servers, code)
    if behind:
        return Standing("server", Reach.PENDING, version, _said(behind), servers, code)
    if silent:
        return Standing("server", Reach.UNREACHABLE, version, _said(silent), servers)
    return Standing("server", Reach.DEPLOYED, version, "", servers)


def _said(servers: Sequence[Server]) -> str:
    first = f"{servers[0].url}: {servers[0].why}"
    return first if len(servers) == 1 else f"{first}, and {len(servers) - 1} more"


def _server(asked: Asked, live: Mapping[str, Any]) -> Server:
    """What one server says of the release that stands."""
    status = asked.status
    if status is None:
        return Server(asked.url, Answer.UNREACHABLE, None, asked.trouble)
    named = status.get("deployment"), status.get("environment")
    if any(there not in (None, live[name]) for there, name in zip(named, ("deployment", "environment"), strict=True)):
        return Server(asked.url, Answer.BEHIND, None, f"it is a server of {named[0]} in {named[1]}")
    version = _version(status.get("version"))
    failed = status.get("failed")
    if isinstance(failed, Mapping) and _version(failed.get("version")) == live["version"]:
        why = str(failed.get("why") or "it says no reason")[:500]
        if failed.get("lasting") is False:
            return Server(asked.url, Answer.BEHIND, version, f"has no v{live['version']} yet: {why}")
        return Server(asked.url, Answer.FAILED, version, f"cannot serve v{live['version']}: {why}")
    digest, known = status.get("digest"), (live["model"]["sha256"], live["model"]["manifest"])
    if version != live["version"]:
        there = f"serves v{version}" if version is not None else f"serves nothing yet ({status.get('state')})"
        return Server(asked.url, Answer.BEHIND, version, there[:200])
    if digest is not None and digest not in known:
        return Server(asked.url, Answer.BEHIND, version, f"serves another model as v{version}")
    if status.get("state") not in (None, "serving"):
        return Server(asked.url, Answer.BEHIND, version, f"is {status.get('state')}"[:200])
    return Server(asked.url, Answer.SERVES, version)


def _version(value: object) -> int | None:
    """A version as a server says it: a number, or its text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
