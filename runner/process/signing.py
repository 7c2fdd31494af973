"""The runner's end of the signer: takes the key out of its own environment, starts the signer, and asks it to sign."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from runner.core.checkpoint import Checkpoint, NoteSignature, key_hash
from runner.core.dsse import Signature, fingerprint
from runner.core.merkle import Frontier
from runner.core.records import Head
from runner.errors import HostError, InputError
from runner.process.hiding import has_other_names
from runner.values import dataclass

KEY = "RUNNER_SIGNING_KEY"
"""A file with the key, or `ssh-agent:SHA256:…`."""
KEY_DATA = "RUNNER_SIGNING_KEY_DATA"
"""The key itself, for CI systems that hold secrets as variables."""
UNSIGNED_HERE = (
    "the records so far are signed, and this host has no key: what it records is held by hosts with a trust file until "
    f"a person accepts it; set {KEY} to sign it"
)
"""What to tell where a signed ledger would go on unsigned."""
_AGENT = "ssh-agent:"
_PROGRAM = Path(__file__).with_name("signer.py")


class LoadSchemas(Protocol):
    """Loads the schemas of predicates by kind."""

    def __call__(self) -> Mapping[str, Mapping[str, Any]]:
        """Kind to schema."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the key is, as the runner was told."""

    name: str
    """`file`, `environment` or `ssh-agent`."""
    request: Mapping[str, str]
    """What the signer is told."""
    path: Path | None = None
    """The file, or the socket of the agent."""


class Signing:
    """One key, held by a process of its own; `close` ends it."""

    def __init__(self, source: KeySource, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        """Raises InputError where there is no such key, HostError where the signer cannot be started."""
        self.path = source.path
        """A file that stages must not read, or the socket of the agent; None for a key that lies nowhere."""
        self._name = source.name
        self._process = _started()
        said = self._ask({"op": "open", "key": dict(source.request), "schemas": dict(schemas)})
        self.public_key = bytes.fromhex(said["publicKey"])
        self.keyid = fingerprint(self.public_key)
        self._in_reach = True

    @staticmethod
    def of(environ: MutableMapping[str, str], schemas: LoadSchemas) -> Signing | None:
        """The signing that an environment asks for, None where it asks for none; takes the key out of it."""
        source = _source(environ)
        return None if source is None else Signing(source, schemas())

    def stages_are_apart(self, apart: bool) -> None:
        """Whether stages that run here have namespaces of their own: then they see no process of the runner, and the
        file of the key, or the socket of the agent, is hidden from them. A key with a second name is not."""
        self._in_reach = not apart or (self.path is not None and has_other_names(self.path))

    def facts(self) -> Mapping[str, Any]:
        """What the record of a reconcile says about signing."""
        return {"source": self._name, "keyReadableByStages": self._in_reach}

    def begin(self, head: Head, frontier: Frontier) -> None:
        """What is signed next follows this end of a ledger."""
        text = frontier.as_text()
        self._ask({"op": "begin", "sequence": head.sequence, "digest": head.digest, "frontier": text})

    def sign(self, payload: bytes) -> Sequence[Signature]:
        """The signature over the next statement; raises HostError where the signer refuses."""
        said = self._ask({"op": "sign", "payload": base64.b64encode(payload).decode()})
        return (Signature(self.keyid, base64.b64decode(said["sig"])),)

    def sign_checkpoint(self, checkpoint: Checkpoint) -> Sequence[NoteSignature]:
        """The signature over how long the ledger is."""
        said = self._ask({"op": "checkpoint", "text": base64.b64encode(checkpoint.text()).decode()})
        return (NoteSignature(key_hash(self.public_key), base64.b64decode(said["sig"])),)

    def close(self) -> None:
        """End the signer; the key is gone with it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        from runner.process.signer import receive, send  # imported late: start-up

        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the pipes were asked for")
        try:
            send(self._process.stdin, dict(request))
            said = receive(self._process.stdout)
        except OSError as error:
            raise self._gone() from error
        if said is None:
            raise self._gone()
        if "error" not in said:
            return said
        if request["op"] == "open":
            self.close()
            raise InputError(f"the signing key cannot be used: {said['error']}", said["hint"])
        raise HostError(f"the signer refused: {said['error']}", said["hint"] or "nothing was recorded; reconcile again")

    def _gone(self) -> HostError:
        return HostError("the process that signs records is gone", "nothing was recorded; reconcile again")


def _source(environ: MutableMapping[str, str]) -> KeySource | None:
    if environ.get(KEY_DATA):
        _erase(KEY_DATA)  # before it is taken out: afterwards nobody knows where it was
    data, name = environ.pop(KEY_DATA, ""), environ.pop(KEY, "")
    if data and name:
        raise InputError(f"{KEY} and {KEY_DATA} both name a signing key", "set one of the two")
    if data:
        return KeySource("environment", {"data": data})
    if name.startswith(_AGENT):
        place = environ.get("SSH_AUTH_SOCK", "")
        request = {"agent": name.removeprefix(_AGENT), "socket": place}
        return KeySource("ssh-agent", request, Path(place) if place else None)
    if name:
        path = Path(os.path.realpath(name))  # as it is now: a stage may exchange a link that leads to it
        return KeySource("file", {"file": str(path)}, path)
    return None


def _erase(name: str) -> None:
    """Overwrite a variable where the process was given it, which is what /proc/PID/environ shows."""
    import ctypes  # imported late: start-up

    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    place = libc.getenv(name.encode())
    if place:
        ctypes.memset(place, ord("x"), len(ctypes.string_at(place)))


def _started() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.defpath},
        )
    except OSError as error:
        raise HostError(f"the process that signs records cannot be started: {error}") from error
