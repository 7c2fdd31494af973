"""An approval: what waits for a signature is put together as a reconcile does it, shown, signed, and handed in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.core.approvals import FEWEST, Paper, Question, SignOff
from runner.core.dsse import Signature, envelope_bytes, fingerprint, pre_authentication
from runner.core.environments import Environment
from runner.core.gates import Deployment
from runner.core.moments import of_epoch
from runner.errors import Held, HostError, InputError
from runner.parts import Request
from runner.process.host import this_host
from runner.process.signing_keys import AgentKey, BadKey, LocalKey, agent_key, agent_keys, file_key
from runner.record.approvals import hand_in
from runner.specs.guesses import nearest
from runner.values import dataclass, replace
from runner.wiring.release_parts import releaser

if TYPE_CHECKING:
    from runner.wiring.parts import RealParts

_AGENT = "ssh-agent"
_USUAL = "~/.ssh/id_ed25519"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to say."""

    deployment: str
    digest: str
    """The beginning of the model's SHA-256, or of DVC's digest of it."""
    environment: str | None
    role: str
    approved: bool
    reason: str


def paper(parts: RealParts, asked: Asked) -> Paper:
    """What a person is about to sign. Raises InputError, HostError where the model's bytes are lost, and Held."""
    observation = parts.observe(Request())
    state = observation.state
    if state is None:
        raise InputError("nothing is recorded yet", "`runner reconcile` first; it says what waits for a signature")
    deployment = _deployment(observation.desired.deployments, asked)
    environment = _environment(deployment, asked)
    made = releaser(parts, observation, threading.Event())
    models = made.models()
    releases = replace(made.on(state, models), asked=None)  # servers may be out of this host's reach
    look = releases.look(deployment, environment, state.release_files(deployment.name, environment.name))
    wish = look.wish(deployment, environment, later=True)
    if wish is None or look.offer is None:
        raise Held(
            f"{deployment.name} waits for no signature in {environment.name}: {look.decision.why}",
            "`runner status` says what becomes of it",
        )
    model = models.contents(look.offer.out) if look.offer.out is not None else look.offer.stated["model"]
    question = releases.holding().question(wish)
    _check_digest(asked, question, model["sha256"])
    said = SignOff(
        question,
        model["sha256"],
        asked.role,
        asked.approved,
        asked.reason,
        this_host().user,
        of_epoch(time.time()),
    )
    return Paper(said, wish.decision.version, wish.decision.replaces, wish.judgement, wish.decision.why)


def signed_and_handed_in(parts: RealParts, said: SignOff, key: LocalKey | AgentKey) -> tuple[str, str]:
    """Sign, and put it on the remote: the name of the key, and the ref. Raises InputError and HostError."""
    payload, keyid = said.payload(), fingerprint(key.public_key)
    try:
        made = Signature(keyid, key.sign(pre_authentication(payload)))
    except BadKey as error:
        raise HostError(f"nothing was signed: {error}", error.hint) from error
    envelope = envelope_bytes(payload, [made])
    return keyid, hand_in(parts.mirror, said, keyid, envelope, this_host().hostname, int(time.time()))


def person_key(named: str | None, folder: Path, environ: Mapping[str, str]) -> LocalKey | AgentKey:
    """The key to sign with: a file, or one of the `ssh-agent`; else what the agent has, else the usual file.

    Raises InputError.
    """
    socket = environ.get("SSH_AUTH_SOCK", "")
    try:
        if named is not None and named.partition(":")[0] == _AGENT:
            return _of_agent(named.partition(":")[2], socket)
        if named is not None:
            return file_key(folder / Path(named).expanduser())
        usual = Path(environ.get("HOME", "")) / _USUAL.removeprefix("~/")
        if socket and agent_keys(socket):
            return _of_agent("", socket)
        if os.path.lexists(usual):
            return file_key(usual)
    except BadKey as error:
        raise InputError(f"the key cannot be used: {error}", _hint(error.hint)) from error
    raise InputError(
        "there is no key to sign with", f"--key FILE names one; without it an ssh-agent is asked, then {_USUAL}"
    )


def trusted_with(parts: RealParts, keyid: str, role: str) -> str:
    """Why a signature by a key would not count, as far as the trust file of this host tells; empty where it would."""
    if parts.trusting is None:
        return ""
    key = parts.trusting.trust.named(keyid)
    if key is None:
        return f"{parts.trusting.file} does not name {keyid}: where it is used, too, this signature does not count"
    if role not in key.approves:
        return f"{parts.trusting.file} does not let {keyid} approve as {role}: add it to `approves` of the key"
    return ""


def _of_agent(name: str, socket: str) -> AgentKey:
    if name:
        return agent_key(name, socket)
    held = agent_keys(socket)
    if len(held) == 1:
        return agent_key(next(iter(held)), socket)
    raise BadKey(
        f"the ssh-agent has {len(held)} Ed25519 keys",
        f"name one: --key ssh-agent:KEY, of {', '.join(sorted(held))}" if held else "add one with ssh-add",
    )


def _hint(said: str) -> str:
    """Hints of keys name the variable of the runner's own key, and this one is a person's."""
    return said.replace("RUNNER_SIGNING_KEY=", "--key ").replace("RUNNER_SIGNING_KEY names", "--key names")


def _deployment(deployments: Any, asked: Asked) -> Deployment:
    found: Deployment | None = next((row for row in deployments if row.name == asked.deployment), None)
    if found is None:
        names = sorted(row.name for row in deployments)
        close = nearest(asked.deployment, names)
        hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(names) or 'none'}"
        raise InputError(f"there is no Deployment `{asked.deployment}` at the newest commit", hint)
    return found


def _environment(deployment: Deployment, asked: Asked) -> Environment:
    """The environment that is meant: as named, else the one that asks this role for a signature."""
    places = {row.name: row for row in deployment.environments}
    if asked.environment is not None and asked.environment not in places:
        raise InputError(
            f"{deployment.name} has no environment `{asked.environment}`", f"there is: {', '.join(places)}"
        )
    meant = [places[asked.environment]] if asked.environment is not None else list(places.values())
    asking = [row for row in meant if any(one.role == asked.role for one in row.approvals)]
    if not asking:
        roles = sorted({one.role for row in meant for one in row.approvals})
        where = f" in {asked.environment}" if asked.environment is not None else ""
        hint = f"it asks for: {', '.join(roles)}" if roles else "`approvals` of the Deployment says who has to sign"
        raise InputError(f"{deployment.name} asks for no signature of `{asked.role}`{where}", hint)
    if len(asking) > 1:
        names = ", ".join(row.name for row in asking)
        raise InputError(
            f"several environments of {deployment.name} ask for {asked.role}", f"say --environment: {names}"
        )
    return asking[0]


def _check_digest(asked: Asked, question: Question, sha256: str) -> None:
    """Whether the model that waits is the one that was named; raises InputError."""
    if len(asked.digest) < FEWEST:
        raise InputError(f"{asked.digest} is too short to name a model", f"type {FEWEST} digits at least")
    if not (sha256.startswith(asked.digest) or question.md5.startswith(asked.digest)):
        raise InputError(
            f"the model that waits is {sha256[:12]} (DVC names it {question.digest}), not {asked.digest}",
            "look at it with `runner plan`; then sign that one",
        )
