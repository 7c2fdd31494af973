"""What a Deployment says to its servers, with every default filled in, or everything that is wrong with it.

Specs are checked by it when they are read, and a server reads the file of a release by it: both understand the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.core.units import bytes_of, seconds_of
from runner.values import dataclass

Path = tuple[str, ...]
TOLD = (
    "formats", "target", "batching", "limits", "explain", "replicas", "resources", "log", "types", "strict",
)  # fmt: skip
"""Fields of a Deployment that servers are told."""
HANDLED = frozenset(["batching", "limits", "explain", "replicas", "log", "types", "strict"])
"""Those that the built-in server acts upon, beside `formats`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that no server could do."""

    path: Path
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Field:
    """A number, and its bounds; what it is counted in is a matter of how it is read."""

    read: Callable[[Any], float | None]
    kind: str
    least: float
    most: float
    default: float
    example: str


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _share(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _bytes(value: Any) -> int | None:
    return bytes_of(value)


_MIB = 1 << 20
NUMBERS: Mapping[Path, _Field] = {
    ("replicas",): _Field(_whole, "a whole number", 1, 64, 1, "2"),
    ("batching", "rows"): _Field(_whole, "a whole number", 1, 4096, 64, "64"),
    ("batching", "wait"): _Field(seconds_of, "a time", 0.0, 1.0, 0.0, "2ms"),
    ("limits", "rows"): _Field(_whole, "a whole number", 1, 10_000_000, 100_000, "1000"),
    ("limits", "body"): _Field(_bytes, "an amount", 1024, 1024 * _MIB, 16 * _MIB, "16Mi"),
    ("limits", "queue"): _Field(_whole, "a whole number", 1, 1_000_000, 1024, "1024"),
    ("limits", "connections"): _Field(_whole, "a whole number", 1, 1_000_000, 1024, "1024"),
    ("limits", "timeout"): _Field(seconds_of, "a time", 0.01, 3600.0, 30.0, "30s"),
    ("limits", "memory"): _Field(_bytes, "an amount", 64 * _MIB, 1 << 50, 0, "2Gi"),
    ("log", "sample"): _Field(_share, "a share", 0.0, 1.0, 1.0, "0.1"),
    ("log", "files"): _Field(_whole, "a whole number", 0, 1_000_000, 0, "100"),
    ("log", "space"): _Field(_bytes, "an amount", _MIB, 1 << 50, 1024 * _MIB, "1Gi"),
    ("explain", "rows"): _Field(_whole, "a whole number", 1, 1000, 16, "16"),
    ("explain", "evaluations"): _Field(_whole, "a whole number", 64, 10_000_000, 4096, "4096"),
    ("explain", "background"): _Field(_whole, "a whole number", 1, 1000, 100, "100"),
    ("explain", "timeout"): _Field(seconds_of, "a time", 0.01, 3600.0, 10.0, "10s"),
    ("explain", "seed"): _Field(_whole, "a whole number", 0, 2**31 - 1, 0, "0"),
}
"""Zero bytes of memory stand for no limit, zero files for all of them."""
LOG_FORMATS = ("jsonl", "parquet")
METHODS = ("auto", "linear", "sampling")
_SECTIONS: Mapping[str, frozenset[str]] = {
    "batching": frozenset(["rows", "wait"]),
    "limits": frozenset(["rows", "body", "queue", "connections", "timeout", "memory"]),
    "log": frozenset(["to", "sample", "files", "space", "drop", "hash", "format"]),
    "explain": frozenset(["rows", "evaluations", "background", "timeout", "seed", "method"]),
}


@dataclass(frozen=True, slots=True)
class Serving:
    """What was said, and the defaults of what was not; times in seconds, sizes in bytes."""

    numbers: Mapping[Path, float]
    formats: tuple[str, ...]
    """Empty for those that run no code when they are read."""
    types: tuple[str, ...]
    strict: bool
    log_to: str | None
    """A folder or an address; None where nothing is kept."""
    log_format: str
    log_drop: tuple[str, ...]
    log_hash: tuple[str, ...]
    explains: bool
    explain_method: str


def read_serving(stated: Mapping[str, Any]) -> tuple[Serving, tuple[Fault, ...]]:
    """What is said below `spec` of a Deployment; what is wrong is left at its default, and told."""
    faults: list[Fault] = []
    sections: dict[str, Mapping[str, Any]] = {}
    for name, known in _SECTIONS.items():
        section = stated.get(name, {})
        if (name in ("log", "explain") and section is False) or (name == "explain" and section is True):
            section = {}
        if not isinstance(section, Mapping):
            faults.append(Fault((name,), f"`{name}` has to be a mapping", "see docs/specs.md"))
            section = {}
        sections[name] = section
        for unknown in sorted(section.keys() - known):
            faults.append(
                Fault((name, unknown), f"`{name}.{unknown}` is not known", f"known: {', '.join(sorted(known))}")
            )
    numbers: dict[Path, float] = {}
    for path, one in NUMBERS.items():
        inside = sections[path[0]] if len(path) > 1 else stated
        numbers[path] = _number(path, one, inside, faults)
    log, explain = sections["log"], sections["explain"]
    drop, hashed = _texts(("log", "drop"), log, faults), _texts(("log", "hash"), log, faults)
    faults += _log_faults(log, drop, hashed, stated.get("log", False) is not False)
    serving = Serving(
        numbers=numbers,
        formats=_texts(("formats",), stated, faults),
        types=_texts(("types",), stated, faults),
        strict=stated.get("strict", False) is True,
        log_to=log["to"] if isinstance(log.get("to"), str) and log["to"] else None,
        log_format=_one_of(("log", "format"), log, LOG_FORMATS, faults),
        log_drop=drop,
        log_hash=hashed,
        explains=stated.get("explain", False) is not False,
        explain_method=_one_of(("explain", "method"), explain, METHODS, faults),
    )
    return serving, tuple(faults)


def _number(path: Path, known: _Field, inside: Mapping[str, Any], faults: list[Fault]) -> float:
    if path[-1] not in inside:
        return known.default
    value = inside[path[-1]]
    found = known.read(value)
    if found is not None and (known.least <= found <= known.most or (found == known.default)):
        return found
    text = f"`{'.'.join(path)}` has to be {known.kind} from {_shown(known, known.least)} to {_shown(known, known.most)}"
    faults.append(Fault(path, f"{text}, not `{str(value)[:40]}`", f"such as {known.example}"))
    return known.default


def _shown(known: _Field, bound: float) -> str:
    if known.kind == "an amount":
        for size, unit in ((1 << 50, "Pi"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")):
            if bound >= size:
                return f"{bound / size:g}{unit}"
    return f"{bound:g} s" if known.kind == "a time" else f"{bound:g}" if bound < 1e6 else f"{int(bound)}"


def _texts(path: Path, inside: Mapping[str, Any], faults: list[Fault]) -> tuple[str, ...]:
    value = inside.get(path[-1], [])
    if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, str) for one in value):
        return tuple(dict.fromkeys(value))
    faults.append(Fault(path, f"`{'.'.join(path)}` has to be a list of texts", "such as [a, b]"))
    return ()


def _one_of(path: Path, inside: Mapping[str, Any], known: Sequence[str], faults: list[Fault]) -> str:
    value = inside.get(path[-1], known[0])
    if value in known:
        return str(value)
    faults.append(Fault(path, f"`{'.'.join(path)}` has to be one of {', '.join(known)}", f"such as {known[0]}"))
    return known[0]


def _log_faults(log: Mapping[str, Any], drop: Sequence[str], hashed: Sequence[str], asked: bool) -> Iterator[Fault]:
    if asked and not (isinstance(log.get("to"), str) and log["to"]):
        yield Fault(("log",), "`log` does not say where to", "say `to: FOLDER`, or `to: s3://BUCKET/FOLDER`")
    for column in sorted({*drop} & {*hashed}):
        message = f"the column `{column}` is to be dropped and hashed"
        yield Fault(("log", "hash"), message, "name it in one of `drop` and `hash`")
