"""How a host is reached: which URLs are allowed, what of the user's configuration counts, and what failures mean."""

from __future__ import annotations

import os
import re
from pathlib import Path

from runner.core.variables import seconds_of
from runner.errors import HostError, InputError, RunnerError
from runner.git.command import TOO_LONG, path_text, run
from runner.git.read import Reader
from runner.patterns import regex

NetworkConfig = tuple[tuple[str, str], ...]
"""Keys and values of git's configuration, in order, since some keys have several values."""

PROTOCOLS = ("file", "git", "http", "https", "ssh")

_USER_KEYS = regex(
    r"credential\..+|http\.(?:.+\.)?\w+|https\.proxy|url\..+\.(?:insteadof|pushinsteadof)|safe\.directory"
    r"|core\.(?:sshcommand|askpass|gitproxy)|ssh\.variant",
    re.IGNORECASE | re.DOTALL,
)
_CLONE_KEYS = regex(r"http\.(?:.+\.)?extraheader", re.IGNORECASE | re.DOTALL)
"""The token that actions/checkout leaves in a clone; anything else in there could be somebody else's program."""

_SCHEME = regex(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PATIENCE_SECONDS = 1800.0
_PASSWORD = regex(r"(://)[^/\s]+@")


def network_config(reader: Reader | None) -> NetworkConfig:
    """The user's and the system's settings for credentials, proxies and URLs, and the clone's own token.

    Everything else of both is left out, hooks and aliases too. The reader knows its own settings afterwards.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "CONFIG" in name}
    where = [f"--git-dir={reader.git_dir}"] if reader is not None else []
    answer = run(
        [*where, "config", "--list", "-z", "--show-scope"], env=env, cwd=reader.git_dir if reader else Path("/")
    )
    if answer.code:
        raise InputError(f"git cannot read its configuration: {answer.error}")
    fields = path_text(answer.out).split("\0")
    pairs: list[tuple[str, str]] = []
    own: dict[str, str] = {}
    for scope, item in zip(fields[0::2], fields[1::2], strict=False):
        key, newline, value = item.partition("\n")
        is_own = scope in ("local", "worktree")
        if is_own:
            own[key] = value
        if (_CLONE_KEYS if is_own else _USER_KEYS).fullmatch(key):
            pairs.append((key, value if newline else "true"))
    if reader is not None:
        reader.own_settings = own
    return tuple(pairs)


def checked_url(url: str) -> str:
    """The URL of a remote, a local path made absolute; InputError when git might take it for something else."""
    scheme = _SCHEME.match(url)
    if not url or url.startswith("-") or any(character < " " for character in url):
        raise InputError(f"{redacted(url)!r} is not the URL of a repository")
    if "::" in url.split("/", 1)[0] or (scheme and scheme[1].lower() not in PROTOCOLS):
        raise InputError(f"{redacted(url)}: this transport is not allowed", f"allowed are {', '.join(PROTOCOLS)}")
    return url if scheme or is_scp_like(url) else os.path.abspath(url)


def is_scp_like(url: str) -> bool:
    """Whether git reads this as `host:path`."""
    return not os.path.exists(url) and ":" in url.split("/", 1)[0]


def redacted(text: str) -> str:
    """The text without user names and passwords of URLs."""
    return _PASSWORD.sub(r"\1***@", text)


_DENIED = (
    r"authentication failed|could not read (?:user|pass)|terminal prompts disabled|permission denied \(|"
    r"invalid (?:username|credentials)|access denied|returned error: 40[13]|denied to"
)
_UNREACHABLE = (
    r"could not resolve host|name or service not known|temporary failure in name resolution|connection refused|"
    r"timed out|network is unreachable|no route to host|unable to connect|failed to connect|"
    r"couldn't connect|connection reset|too slow|unable to look up"
)
_NOT_FOUND = (
    r"repository .*not found|does not appear to be a git repository|returned error: 404|does not exist|"
    r"repository not exported|no such file or directory|is this a git repository|not found"
)
_FAILURES = (
    (_DENIED, "access was denied", "check the credentials: an ssh key, a credential helper or a token"),
    (
        r"host key verification failed|remote host identification has changed",
        "the host's ssh key is not known",
        "connect once by hand with ssh, or add the key to known_hosts",
    ),
    (_UNREACHABLE, "the host cannot be reached", "check the network and the URL, then run this again"),
    (
        r"dubious ownership",
        "the repository belongs to another user of this host",
        "if you trust it: git config --global --add safe.directory PATH",
    ),
    (r"no space left on device|disk quota", "the disk is full", "make room, then run this again"),
    (_NOT_FOUND, "there is no such repository, or it is hidden from this user", "check the URL and credentials"),
)
"""What a failure says, in whatever letters, what it is and what to do."""


def patience_seconds() -> float:
    """How long one conversation with a remote may take: `RUNNER_GIT_TIMEOUT`, else half an hour; raises InputError."""
    return seconds_of("RUNNER_GIT_TIMEOUT", os.environ.get("RUNNER_GIT_TIMEOUT"), _PATIENCE_SECONDS)


def no_answer(url: str) -> HostError:
    """The error to raise when a remote took longer than `patience_seconds`."""
    hint = "the same may work later; RUNNER_GIT_TIMEOUT says how many seconds are waited for"
    return HostError(f"{redacted(url)} did not answer within {patience_seconds():g} s", hint)


def network_failure(url: str, said: str) -> RunnerError:
    """The error to raise when talking to a remote failed, from what git said of it."""
    said, url = redacted(said), redacted(url)
    if said.startswith(TOO_LONG):
        return no_answer(url)
    if re.search(r"transport '.*' not allowed", said):
        return InputError(f"{url}: this transport is not allowed", f"allowed are {', '.join(PROTOCOLS)}")
    for pattern, what, hint in _FAILURES:
        if re.search(pattern, said, re.IGNORECASE):
            return HostError(f"{url}: {what} (git: {shortened(said)})", hint)
    return HostError(f"{url}: git could not talk to it (git: {shortened(said)})", "the same may work later")


def shortened(said: str) -> str:
    """The lines of git's words that say something, in one line."""
    lines = [line.strip() for line in said.splitlines()]
    telling = [line for line in lines if re.match(r"(?i)(fatal|error|remote|!|ssh):", line) or "denied" in line]
    return "; ".join(dict.fromkeys(telling or lines[-1:]))[:500]
