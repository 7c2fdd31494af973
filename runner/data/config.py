"""DVC's configuration from bytes: what was committed, what the clone adds, and what the host of the runner overrides.

Levels as in DVC, later ones win: `.dvc/config` as committed, `.dvc/config.local` of the user's clone, the file that
`RUNNER_DVC_CONFIG` names. Reading executes nothing, and options that would make DVC or a cloud library run a command
or read a file that can name one are taken from the last two levels only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.errors import InputError
from runner.values import dataclass, field

COMMITTED_NAME = ".dvc/config"
LOCAL_NAME = ".dvc/config.local"

# Bounds of a committed file: the parser's time grows with the square of a line's length, and references multiply.
_MAX_BYTES = 64 * 1024
_MAX_LINE_BYTES = 1_000
_MAX_INTERPOLATIONS = 12
_REMOTE_SECTION = re.compile(r'\s*remote\s*"(.*)"\s*')
_PATH_OPTIONS = ("keyfile", "cert_path", "key_path", "credentialpath", "configpath")
_PATH_OPTIONS_GDRIVE = ("gdrive_user_credentials_file", "gdrive_service_account_json_file_path")
# The first is a shell command; files of the others can name one (`credential_process` of AWS, executables of Google);
# the last two wait for a person at a terminal.
_UNSAFE_WHEN_COMMITTED = frozenset(
    ["bearer_token_command", "configpath", "credentialpath", *_PATH_OPTIONS_GDRIVE, "ask_password", "ask_passphrase"]
)

Section = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DvcConfig:
    """The parts of DVC's configuration that the runner acts on."""

    default_remote: str | None = None
    remotes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Options by lower-case remote name; URLs of local remotes are absolute where the base was known."""
    cache_dir: Path | None = None
    """`cache.dir`; None for DVC's own place, `.dvc/cache`."""
    parsing: Mapping[str, str] = field(default_factory=dict)
    """`parsing.bool` and `parsing.list` as given, keys `bool` and `list`."""
    core: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    """Committed options that were left out because they could run something, `remote.NAME.option` each."""

    @staticmethod
    def load(
        committed: bytes | None,
        local: bytes | None = None,
        override: Path | None = None,
        *,
        base: Path | None = None,
    ) -> DvcConfig:
        """Read and merge the levels.

        `base` is the `.dvc` folder of the user's clone: relative paths of the first two levels resolve against it,
        those of `override` against its own folder, as DVC does. Without a base such a remote stays relative and is
        refused when it is used. Raises InputError, naming the file and the line, for what cannot be read.
        """
        _check_bounds(committed or b"")
        safe, ignored = _without_unsafe(_read(committed, COMMITTED_NAME))
        levels = [_resolved(safe, base), _resolved(_read(local, LOCAL_NAME), base)]
        if override is not None:
            levels.append(_resolved(_read(_bytes_of(override), str(override)), override.absolute().parent))
        merged: Section = {}
        for level in levels:
            _merge(merged, level)
        return _config(merged, tuple(ignored))


def _config(merged: Section, ignored: tuple[str, ...]) -> DvcConfig:
    core = _section(merged, "core")
    cache = _section(merged, "cache")
    default = core.get("remote")
    directory = cache.get("dir")
    return DvcConfig(
        default_remote=default.lower() if isinstance(default, str) and default else None,
        remotes={name: options for name, options in _section(merged, "remote").items() if isinstance(options, dict)},
        cache_dir=Path(directory) if isinstance(directory, str) and directory else None,
        parsing={key: str(value) for key, value in _section(merged, "parsing").items() if key in ("bool", "list")},
        core=core,
        ignored=ignored,
    )


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}", "RUNNER_DVC_CONFIG names a file in the form of .dvc/config"
        ) from error


def _read(data: bytes | None, file: str) -> Section:
    """The sections of a file, remotes gathered below `remote`, all option names in lower case."""
    if data is None or not data.strip():
        return {}
    return _gathered(_lower_keys(_parsed(data, file)))


def _check_bounds(committed: bytes) -> None:
    if len(committed) > _MAX_BYTES:
        raise InputError(
            f"{COMMITTED_NAME}: larger than {_MAX_BYTES // 1024} KiB", "this is not a configuration of DVC"
        )
    for number, line in enumerate(committed.split(b"\n"), start=1):
        if len(line) > _MAX_LINE_BYTES:
            raise InputError(
                f"{COMMITTED_NAME}:{number}:1: longer than {_MAX_LINE_BYTES} characters",
                "long secrets and tokens belong in .dvc/config.local",
            )
    if committed.count(b"%(") > _MAX_INTERPOLATIONS:
        raise InputError(
            f"{COMMITTED_NAME}: more than {_MAX_INTERPOLATIONS} references of the form %(name)s", "write the values out"
        )


_FORM = "it has sections, `[core]` or `['remote \"name\"']`, and below them lines `option = value`"


def fault(committed: bytes) -> tuple[int, str] | None:
    """Line (0 where none is to blame) and words for what is wrong with a committed configuration; None for a good one.

    Says the same as reading it does, in time for a plan.
    """
    try:
        _check_bounds(committed)
        _parsed(committed, COMMITTED_NAME)
    except InputError as error:
        place, _, words = error.message.partition(": ")
        line = place.removeprefix(COMMITTED_NAME).strip(":").partition(":")[0]
        return int(line or 0), words
    return None


def _parsed(data: bytes, file: str) -> Section:
    import io

    from configobj import ConfigObj, ConfigObjError  # imported late: start-up

    try:
        sections: Section = ConfigObj(io.StringIO(data.decode("utf-8"))).dict()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8", "DVC reads it as UTF-8 alone") from error
    except ConfigObjError as error:
        first = next(iter(getattr(error, "errors", None) or [error]))
        line = getattr(first, "line_number", None)
        place = f"{file}:{line}:1" if line else file
        # Its words quote the line: of a file outside the repository that may be a secret.
        quoted = f": {first}" if file == COMMITTED_NAME else ""
        raise InputError(f"{place}: not a configuration of DVC{quoted}", _FORM) from error
    return sections


def _gathered(sections: Section) -> Section:
    gathered: Section = {"remote": {}}
    for name, values in sections.items():
        remote = _REMOTE_SECTION.fullmatch(name)
        if remote:
            gathered["remote"][remote.group(1)] = values
        elif name != "remote":
            gathered[name] = values
    return gathered


def _without_unsafe(sections: Section) -> tuple[Section, list[str]]:
    ignored: list[str] = []
    for name, options in _section(sections, "remote").items():
        for option in sorted(_UNSAFE_WHEN_COMMITTED & set(options)):
            ignored.append(f"remote.{name}.{option}")
            del options[option]
    return sections, ignored


def _resolved(sections: Section, base: Path | None) -> Section:
    """The sections with relative paths made absolute."""
    cache = _section(sections, "cache")
    if isinstance(cache.get("dir"), str):
        cache["dir"] = _absolute(cache["dir"], base)
    for options in _section(sections, "remote").values():
        for option in ("url", *_PATH_OPTIONS, *_PATH_OPTIONS_GDRIVE):
            if isinstance(options, dict) and isinstance(options.get(option), str):
                options[option] = _absolute(options[option], base)
    return sections


def _absolute(path: str, base: Path | None) -> str:
    """A path as dvc.config.Config._resolve makes it: URLs stay, `~` is the user's home."""
    if re.match(r"\w+://", path) or os.path.isabs(path):
        return path
    expanded = os.path.expanduser(path)
    if os.path.isabs(expanded):
        return expanded
    return path if base is None else os.path.abspath(base / path)


def _section(sections: Section, name: str) -> Section:
    found = sections.get(name)
    return found if isinstance(found, dict) else {}


def _merge(into: Section, update: Section) -> None:
    for key, value in update.items():
        if isinstance(into.get(key), dict) and isinstance(value, dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _lower_keys(data: Section) -> Section:
    return {key.lower(): _lower_keys(value) if isinstance(value, dict) else value for key, value in data.items()}
