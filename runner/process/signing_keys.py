"""Ed25519 keys for signing: in a file (PEM PKCS8 or OpenSSH), in a text, or in an ssh-agent.

The agent is spoken to directly (draft-miller-ssh-agent: two requests and their answers), and the key never leaves it.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.dsse import SIGNATURE_BYTES, fingerprint, ssh_blob, ssh_line
from runner.values import dataclass

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_REQUEST_IDENTITIES, _IDENTITIES = 11, 12
_SIGN_REQUEST, _SIGN_RESPONSE = 13, 14
_PATIENCE_SECONDS = 60.0
"""How long an agent may take: it may ask its owner first."""
_LONGEST_ANSWER = 1 << 20
_SIGNATURE_TYPE = b"ssh-ed25519"


class BadKey(Exception):
    """A key that cannot be used: why, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class LocalKey:
    """A key in this process."""

    private: Ed25519PrivateKey
    public_key: bytes

    def sign(self, data: bytes) -> bytes:
        """The signature over the data."""
        return self.private.sign(data)


@dataclass(frozen=True)
class AgentKey:
    """A key that an ssh-agent holds."""

    socket_path: str
    public_key: bytes

    def sign(self, data: bytes) -> bytes:
        """The signature over the data; raises BadKey where the agent refuses."""
        body = _text(ssh_blob(self.public_key)) + _text(data) + bytes(4)
        said = _asked(self.socket_path, bytes([_SIGN_REQUEST]) + body, _SIGN_RESPONSE)
        parts = list(_texts(next(_texts(said))))
        if len(parts) != 2 or parts[0] != _SIGNATURE_TYPE or len(parts[1]) != SIGNATURE_BYTES:
            raise BadKey("the ssh-agent gave a signature that is none of Ed25519")
        return parts[1]


def file_key(path: Path) -> LocalKey:
    """The key in a file; raises BadKey, also where others on this host may read it."""
    try:
        with open(path, "rb") as file:
            found, data = os.fstat(file.fileno()), file.read()
    except OSError as error:
        raise BadKey(
            f"{path}: {error.strerror}", "RUNNER_SIGNING_KEY names a file; `runner keys generate` makes one"
        ) from error
    # As ssh has it: of a file of somebody else's, such as root's, its owner decides who may read it.
    if found.st_uid == os.geteuid() and found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise BadKey(
            f"{path}: others on this host may get at this private key (its mode is {mode:04o})",
            f"`chmod 600 {path}`, and replace the key if others may have read it; for a secret that Kubernetes mounts "
            "say `defaultMode: 0400`",
        )
    return key_of(data, str(path))


def key_of(data: bytes, place: str) -> LocalKey:
    """The key in these bytes; raises BadKey that names the place."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    text = data.strip() + b"\n"
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        private = load(text, None)
    except TypeError as error:
        raise BadKey(
            f"{place}: the key has a passphrase", "add it to an ssh-agent: RUNNER_SIGNING_KEY=ssh-agent:SHA256:…"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        locked = "password-protected" in str(error).lower() or "passphrase" in str(error).lower()
        why = "the key has a passphrase" if locked else "not a private key in PEM (PKCS8) or OpenSSH form"
        hint = (
            "add it to an ssh-agent: RUNNER_SIGNING_KEY=ssh-agent:SHA256:…"
            if locked
            else "make one with `runner keys generate`"
        )
        raise BadKey(f"{place}: {why}", hint) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BadKey(f"{place}: not an Ed25519 key", "make one with `runner keys generate`")
    return LocalKey(private, private.public_key().public_bytes_raw())


def agent_key(name: str, socket_path: str) -> AgentKey:
    """The key with this fingerprint in the agent at a socket; raises BadKey naming those it has."""
    known = agent_keys(socket_path)
    if name not in known:
        raise BadKey(f"the ssh-agent has no Ed25519 key {name}", f"it has: {', '.join(sorted(known)) or 'none'}")
    return AgentKey(socket_path, known[name])


def agent_keys(socket_path: str) -> dict[str, bytes]:
    """The Ed25519 keys of the agent at a socket, by their fingerprints; raises BadKey."""
    if not socket_path:
        raise BadKey("there is no ssh-agent: SSH_AUTH_SOCK is not set", "start one, and add the key with ssh-add")
    said = _asked(socket_path, bytes([_REQUEST_IDENTITIES]), _IDENTITIES)
    blobs = list(_texts(said[4:]))[::2]  # each key is followed by its comment
    known = {}
    for blob in blobs:
        public_key = blob[-32:]
        if ssh_blob(public_key) == blob:
            known[fingerprint(public_key)] = public_key
    return known


def generate(path: Path) -> str:
    """Make a key in a new file that only its owner may read; returns the public line. Raises BadKey."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}", "say another file; a key is never replaced") from error
    return ssh_line(private.public_key().public_bytes_raw())


def verifies(public_key: bytes, sig: bytes, data: bytes) -> bool:
    """Whether this key made this signature over the data."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(sig, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _asked(socket_path: str, message: bytes, expected: int) -> bytes:
    """What an agent answers, without the type of the answer."""
    try:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(_PATIENCE_SECONDS)
            agent.connect(socket_path)
            agent.sendall(_text(message))
            length = int.from_bytes(_exactly(agent, 4), "big")
            said = _exactly(agent, length) if 0 < length <= _LONGEST_ANSWER else b"\0"
    except OSError as error:
        raise BadKey(f"the ssh-agent at {socket_path} does not answer: {error}", "is SSH_AUTH_SOCK right?") from error
    if said[0] != expected:
        raise BadKey("the ssh-agent refused to sign", "is the key still in it? `ssh-add -l` tells")
    return said[1:]


def _exactly(agent: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = agent.recv(count - len(data))
        if not part:
            raise ConnectionError("it closed the connection")
        data += part
    return data


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _texts(data: bytes) -> Iterator[bytes]:
    start = 0
    while start + 4 <= len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            raise BadKey("the ssh-agent gave an answer that cannot be read")
        yield data[start + 4 : end]
        start = end
