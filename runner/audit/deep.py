"""The deep part of an audit: bytes of outputs that are here, `dvc.lock` files, and git's own objects."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.audit.chain import Chain
from runner.audit.findings import Breach, Breakage
from runner.audit.tip import Files, standing_addresses
from runner.core.digests import md5_hex, parse_listing
from runner.core.predicates import RUN
from runner.errors import SpecError
from runner.git.read import Reader
from runner.ledger import layout
from runner.specs.yaml12 import DVC_LOCK_BOUNDS, load
from runner.values import dataclass, field


@dataclass
class Bytes:
    """Objects of a DVC cache, hashed as they are read; each once."""

    root: Path
    sound: int = 0
    missing: int = 0
    _known: dict[str, bool | None] = field(default_factory=dict)

    def is_sound(self, md5: str) -> bool | None:
        """Whether an object has the bytes that its name says, also of a folder's files; None where it is not here."""
        if md5 not in self._known:
            found = self._known[md5] = self._hashed(md5)
            self.sound += found is True
            self.missing += found is None
        return self._known[md5]

    def _hashed(self, md5: str) -> bool | None:
        file = self.root / "files" / "md5" / md5[:2] / md5[2:]
        try:
            if md5.endswith(".dir"):
                data = file.read_bytes()
                if md5_hex(data) != md5.removesuffix(".dir"):
                    return False
                members = [self.is_sound(member) for _, member in parse_listing(data)]
                return False if False in members else None if None in members else True
            with open(file, "rb") as stream:
                return hashlib.file_digest(stream, "md5").hexdigest() == md5
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return False


_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def is_digest(text: str) -> bool:
    """Whether this is a digest as DVC writes it."""
    return _MD5.fullmatch(text) is not None


def check_deep(
    reader: Reader, commit: str, files: Files, chain: Chain, cache: Path, tell: Callable[[str], None]
) -> list[Breakage]:
    """Everything that takes longer; `tell` hears what it came to."""
    objects = Bytes(cache)
    found = [*_output_breaks(chain, objects), *_lock_breaks(reader, commit, files)]
    said = reader.fsck(commit)
    found += [Breakage(Breach.BYTES, "git objects", line) for line in said.splitlines()]
    tell(f"{objects.sound} objects of outputs hashed, {objects.missing} are not on this host")
    return found


def _output_breaks(chain: Chain, objects: Bytes) -> Iterator[Breakage]:
    for number, record in chain.records():
        if record.kind is not RUN:
            continue
        for out in record.own["run"]["outs"]:
            if not out.get("legacy") and objects.is_sound(out["md5"]) is False:
                yield Breakage(
                    Breach.BYTES, f"record {number}", f"the cached bytes of {out['path']} are not {out['md5']}"
                )


def _lock_breaks(reader: Reader, commit: str, files: Files) -> Iterator[Breakage]:
    locks: dict[str, Mapping[str, Any] | None] = {}
    for address, entry in sorted(standing_addresses(files).items()):
        path = _lock_path(reader, commit, address.pipeline)
        if path is None:
            yield Breakage(Breach.BYTES, f"{address}", "stands, and there is no dvc.lock that would say so")
            continue
        if path not in locks:
            locks[path] = _stages(reader.file(commit, path) or b"", path)
        stages = locks[path]
        if stages is None:
            continue
        row = stages.get(address.stage) or {}
        outs = sorted(out.md5 for out in entry.outs)
        deps = sorted(map(str, entry.material.get("dep", {}).values()))
        plain = all(is_digest(dep) for dep in deps)  # not of an input outside the repository, or before DVC 3.0
        if _digests(row, "outs") != outs or (plain and _digests(row, "deps") != deps):
            yield Breakage(Breach.BYTES, path, f"does not say of {address.stage} what is recorded")


def _digests(row: Mapping[str, Any], part: str) -> list[str]:
    """The digests of one part of a stage in a `dvc.lock`, whatever their paths are relative to."""
    return sorted(str(item.get("md5")) for item in row.get(part, []))


def _lock_path(reader: Reader, commit: str, pipeline: str) -> str | None:
    """The `dvc.lock` of a pipeline: beside an adopted `dvc.yaml`, or of a rendered document."""
    tree = reader.tree(commit)
    beside = pipeline.removesuffix(".yaml") + ".lock"
    rendered = f"{layout.PIPELINES}/{layout.encoded(pipeline)}/dvc.lock"
    below = [path for path in tree.files if path.endswith("/" + rendered)]
    return next((path for path in (beside, rendered, *below) if tree.get(path) is not None), None)


def _stages(data: bytes, path: str) -> Mapping[str, Any] | None:
    try:
        value = load(data, file=path, bounds=DVC_LOCK_BOUNDS)
        found: Mapping[str, Any] = value["stages"]
    except (SpecError, KeyError, TypeError):
        return {}
    return found
