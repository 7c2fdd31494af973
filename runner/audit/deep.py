"""The deep part of an audit: bytes of outputs that are here, `dvc.lock` files, and git's own objects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.audit.chain import Chain
from runner.audit.findings import Breach, Breakage
from runner.audit.locks import lock_breaks
from runner.audit.tip import Files, standing_addresses
from runner.core.digests import md5_hex, parse_listing
from runner.core.predicates import RUN
from runner.git.read import Reader
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


def check_deep(
    reader: Reader, commit: str, files: Files, chain: Chain, cache: Path, tell: Callable[[str], None]
) -> list[Breakage]:
    """Everything that takes longer; `tell` hears what it came to."""
    objects = Bytes(cache)
    found = [*_output_breaks(chain, objects), *lock_breaks(reader, commit, standing_addresses(files))]
    said = reader.fsck(commit)
    found += [Breakage(Breach.BYTES, "git objects", line) for line in said.splitlines()]
    noun = "object" if objects.sound == 1 else "objects"
    tell(f"{objects.sound} {noun} of outputs hashed, {objects.missing} are not on this host")
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
