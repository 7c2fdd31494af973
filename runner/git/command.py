"""The one way a git command is started: which environment, which switches, and what counts as a word of the user's."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from runner.errors import HostError, InputError
from runner.patterns import regex
from runner.values import dataclass

READ_SWITCHES = (
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.warnAmbiguousRefs=false",
    "-c", "core.excludesFile=/dev/null",
    "-c", "core.attributesFile=/dev/null",
    "-c", "core.bigFileThreshold=16m",
    "-c", "protocol.allow=never",
)  # fmt: skip
"""Nothing of the repository is run by a read, no file is read that its configuration names, large blobs never stand in
git's memory whole, and a read never goes to the network (partial clones would)."""

_KEPT = ("GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
_NETWORK = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_SSL_")
TOO_LONG = "git gave no answer for"
"""How the message begins where a command took too long."""
_QUOTED_LINE = regex(r"((?:bad|unexpected|malformed|invalid) [^:\n]*(?:line|data|format)[^:\n]*):[^\n]*")
_OID = regex(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)


class TookTooLong(HostError):
    """A git command gave no answer in the time that it had, and was ended, with all that it had started."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a git command that ended said."""

    code: int
    out: bytes
    error: str


def environment(
    alternates: Sequence[Path] = (),
    *,
    network: bool = False,
    local: bool = False,
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of a git command: no configuration but the repository's own, no prompts, English messages.

    Variables of git that point elsewhere (`GIT_DIR` within a hook, say) are dropped. `network` keeps those that say
    how to reach a host; `local` allows to fetch from a folder of this host. `alternates` are git folders whose objects
    can be read too.
    """
    environ = os.environ if environ is None else environ
    kept = (*_KEPT, *_NETWORK) if network else _KEPT
    result = {name: value for name, value in environ.items() if not name.startswith("GIT_") or name.startswith(kept)}
    result.pop("LANGUAGE", None)
    result.update(
        LC_ALL="C",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_ATTR_NOSYSTEM="1",
        GIT_OPTIONAL_LOCKS="0",
        GIT_TERMINAL_PROMPT="0",
        GIT_NO_LAZY_FETCH="1",
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_GRAFT_FILE=os.devnull,
    )
    if not network:
        # Unlike `protocol.allow`, no `protocol.<name>.allow` of a clone's own configuration weakens this one.
        result["GIT_ALLOW_PROTOCOL"] = "file" if local else "none"
    if alternates:
        result["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.pathsep.join(_alternate(path) for path in alternates)
    return result


def config_variables(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Configuration as environment variables, where no other user of the host can read it, unlike arguments."""
    variables: dict[str, str] = {}
    count = 0
    for key, value in pairs:
        variables[f"GIT_CONFIG_KEY_{count}"] = key
        variables[f"GIT_CONFIG_VALUE_{count}"] = value
        count += 1
    variables["GIT_CONFIG_COUNT"] = str(count)
    return variables


def run(
    arguments: Sequence[str | bytes],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout_seconds: float | None = None,
) -> Answer:
    """Run `git ARGUMENTS` to its end.

    HostError when there is no git or no such folder, TookTooLong when it takes longer than that.
    """
    try:
        process = subprocess.Popen(
            ["git", *arguments],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the runner, which still has results to record
        )
    except OSError as problem:
        raise cannot_start(problem) from problem
    with process:
        try:
            out, error = process.communicate(stdin, timeout=timeout_seconds)
        except BaseException as problem:
            # Also what it started to reach a host: that would hold on to its output.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(problem, subprocess.TimeoutExpired):
                raise
            hint = "a file below .git may be a pipe or a device"
            said_of = f"{TOO_LONG} {timeout_seconds:.0f} s: {_shown(arguments)}"
            raise TookTooLong(said_of, hint) from problem
    return Answer(process.returncode, out, said(error))


def _shown(arguments: Sequence[str | bytes]) -> str:
    words = [os.fsdecode(word) for word in arguments]
    return " ".join(["git", *words[len(READ_SWITCHES) :]] if words[: len(READ_SWITCHES)] == [*READ_SWITCHES] else words)


def said(stderr: bytes) -> str:
    """What git wrote to stderr, without the content of files: one below `.git` may be a link to anywhere."""
    return _QUOTED_LINE.sub(r"\1", stderr.decode("utf-8", "replace").strip())


def cannot_start(problem: OSError) -> HostError:
    """What to say when git itself cannot be started."""
    if isinstance(problem, FileNotFoundError) and problem.filename in (None, "git"):
        return HostError("git is not installed, or not on PATH", "install git 2.36 or newer")
    return HostError(f"git cannot be started: {problem}")


def is_oid(text: str) -> bool:
    """Whether this is a full object name: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits."""
    return _OID.fullmatch(text) is not None


def checked_oid(text: str) -> str:
    """The object name itself; InputError when it is none, so that it can never be taken for an option."""
    if not is_oid(text):
        raise InputError(f"{text!r} is not a full object name", "40 or 64 hex digits are expected here")
    return text


def checked_branch(name: str) -> str:
    """The branch name itself; InputError unless it follows git's rule."""
    if not is_branch(name):
        raise InputError(f"{name!r} is not a branch name", "see `git help check-ref-format`")
    return name


def is_branch(name: str) -> bool:
    """Whether a branch may have this name, by git's rule (`git check-ref-format --branch`)."""
    parts = name.split("/")
    return not (
        not name
        or name.startswith("-")
        or name.endswith((".", "/"))
        or name in ("@", "HEAD")
        or ".." in name
        or "@{" in name
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
        or any(character in " ~^:?*[\\\x7f" or character < " " for character in name)
    )


def path_text(raw: bytes) -> str:
    """A path of git as text; bytes that are not UTF-8 survive as surrogates and come back by `path_bytes`."""
    return raw.decode("utf-8", "surrogateescape")


def path_bytes(path: str) -> bytes:
    """A path as git holds it."""
    return path.encode("utf-8", "surrogateescape")


def _alternate(path: Path) -> str:
    objects = path if path.name == "objects" else path / "objects"
    text = str(objects)
    if os.pathsep not in text and not text.startswith('"'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
