"""Paths below `.runner/` on the state branch: one place that knows where things lie."""

from __future__ import annotations

import functools
import hashlib
import re

from runner.core.nouns import Address
from runner.patterns import regex

ROOT = ".runner"
STATE = f"{ROOT}/state.json"
"""Schema, desired commit, number of records and digest of the last one."""
RECORDED = f"{ROOT}/recorded"
"""`<pipeline>/<stage>.json`: the result that stands for each stage."""
PIPELINES = f"{ROOT}/pipelines"
"""`<name>/dvc.yaml`: Pipeline documents as DVC reads them, with their `dvc.lock`."""
KEYS = f"{ROOT}/keys"
"""`<first two hex digits>`: lines `key sequence ok|failed`, sorted: one look-up from a run key to its record."""
RECORDS = f"{ROOT}/ledger/records"
"""`<sequence>.json`: the newest records, byte for byte as they were appended."""
SEALED = f"{ROOT}/ledger/sealed"
"""`<first>-<last>.jsonl`: older records, byte for byte, a line each."""
CHECKPOINT = f"{ROOT}/ledger/checkpoint"
"""How many records there are and the root of their Merkle tree, signed."""
FRONTIER = f"{ROOT}/ledger/frontier"
"""The right edge of that tree: what the next record needs to be appended."""
SEALED_KEYS = f"{ROOT}/keys-sealed"
"""`<first two hex digits>`: the same lines as in `keys`, of records that are sealed."""
VERIFIED = f"{ROOT}/verified"
"""`<first two hex digits>`: lines `key newest differed`, sorted: what verifications of a run key came to."""
RELEASES = f"{ROOT}/releases"
"""`<deployment>/<environment>.json`: the release that is served there."""
RELEASED = f"{ROOT}/released"
"""`<deployment>/<environment>.json`: every version there was, what was rolled back, and what the gates refused last."""
DEPLOYED = f"{ROOT}/deployed"
"""`<deployment>/<environment>.json`: the last outcome of the command that puts releases to use there."""
ASIDE = f"{ROOT}/aside"
"""`<run id>/<path>`: uncached outputs of runs that were recorded without standing; the next commit takes them away."""
OBJECTS = f"{ROOT}/objects"
"""`<md5>`: folder listings and small files that a plan has to look into."""
RENDER_VERSION = 2
"""How files are made of specs alone. Each reconcile says it of its commit; an audit compares what is made alike.

Raise it by hand with every change of a rendered `dvc.yaml`, of the lines of ignore files, or of how paths are spelled
in a `dvc.lock`. `tests/specs/test_rendering.py` fails where such bytes change without it.
"""
DVC_FOLDER_IGNORED = b"/config.local\n/tmp\n/cache\n"
DVC_FOLDER = {".dvc/config": b"", ".dvc/.gitignore": DVC_FOLDER_IGNORED}
"""What is added where the desired commit has no DVC project: it is then at the root of the repository."""
_DVC_IGNORED = (
    f"# Everything the runner records is hidden from DVC, but not the pipelines it renders.\n/{ROOT}/*\n!/{PIPELINES}\n"
).encode()

_SAFE = regex(rb"[A-Za-z0-9_@=,+.-]")
_LONGEST_NAME = 180
_RECORD = regex(re.escape(RECORDS) + r"/([0-9]{9})\.json")


@functools.lru_cache(maxsize=10_000)
def encoded(name: str) -> str:
    """A name as one path component that every file system and ref can hold: percent-encoded, hashed where too long.

    Names are case-preserving; a leading dot is encoded, so no component can be `.`, `..` or `.git`.
    """
    raw = name.encode("utf-8", "surrogateescape")
    parts = [chr(byte) if _SAFE.match(bytes([byte])) else f"%{byte:02X}" for byte in raw]
    if parts and parts[0] == ".":
        parts[0] = "%2E"
    text = "".join(parts) or "%"
    if len(text) > _LONGEST_NAME:
        return text[: _LONGEST_NAME - 33] + "%" + hashlib.sha256(raw).hexdigest()[:32]
    return text


def recorded_path(address: Address) -> str:
    """File of what stands for a stage."""
    return f"{RECORDED}/{encoded(address.pipeline)}/{encoded(address.stage)}.json"


def record_path(sequence: int) -> str:
    """File of a record."""
    return f"{RECORDS}/{sequence:09d}.json"


def record_number(path: str) -> int | None:
    """The number of the record in a file; None for a path that is none of a record's."""
    found = _RECORD.fullmatch(path)
    return int(found[1]) if found is not None else None


def segment_path(first: int, last: int) -> str:
    """File of the sealed records from `first` to `last`."""
    return f"{SEALED}/{first:09d}-{last:09d}.jsonl"


def segment_range(path: str) -> tuple[int, int]:
    """First and last record of a segment; the inverse of `segment_path`."""
    first, last = path.rpartition("/")[2].removesuffix(".jsonl").split("-")
    return int(first), int(last)


def sealed_keys_path(key: str) -> str:
    """File of the index of sealed records that holds a run key."""
    return f"{SEALED_KEYS}/{key[:2]}"


def keys_path(key: str) -> str:
    """File of the index that holds a run key."""
    return f"{KEYS}/{key[:2]}"


def verified_path(key: str) -> str:
    """File of the index of verifications that holds a run key."""
    return f"{VERIFIED}/{key[:2]}"


def release_path(deployment: str, environment: str) -> str:
    """File of the release that is served."""
    return f"{RELEASES}/{encoded(deployment)}/{encoded(environment)}.json"


def released_path(deployment: str, environment: str) -> str:
    """File of what is remembered of releases."""
    return f"{RELEASED}/{encoded(deployment)}/{encoded(environment)}.json"


def deployed_path(deployment: str, environment: str) -> str:
    """File of the last outcome of a command."""
    return f"{DEPLOYED}/{encoded(deployment)}/{encoded(environment)}.json"


def object_path(md5: str) -> str:
    """File of a small object."""
    return f"{OBJECTS}/{md5}"


def with_dvcignore_lines(text: bytes) -> bytes:
    """The `.dvcignore` at the root, with the lines that hide `.runner/` from DVC."""
    if _DVC_IGNORED in text:
        return text
    return text + (b"\n" if text and not text.endswith(b"\n") else b"") + _DVC_IGNORED


_OF_PIPELINE = regex(re.escape(PIPELINES) + r"/[^/]+/dvc\.(?:yaml|lock)")


def is_of_pipeline(path: str) -> bool:
    """Whether a path below the DVC root is that of a rendered `dvc.yaml`, or of the `dvc.lock` beside it."""
    return _OF_PIPELINE.fullmatch(path) is not None
