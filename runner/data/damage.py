"""What was found damaged: in the cache of this host, and on DVC remotes until good bytes have replaced it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from runner.data.faults import host_errors
from runner.values import dataclass, field

THIS_HOST = "this host"
_MOST_ROWS = 1_000
_SHOWN = 3
_DOUBTED = "?"


@dataclass
class Damage:
    """Damage as it is found, and what became of it; safe for threads.

    What is damaged on a remote is kept in a file until it was replaced there, so that a runner that was killed in
    between does not take the damaged object for the good one. The file is a memo: one that cannot be read counts as
    empty, and the damage is then found once more. Methods raise HostError where it cannot be written.
    """

    file: Path
    say: Callable[[str], None] = lambda text: None
    """Hears of everything that is found and replaced, for people."""
    _rows: dict[tuple[str, str], bool] = field(default_factory=dict)
    """By place and digest, whether good bytes are there again."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def here(self, md5: str, aside: Path | None) -> None:
        """An object of this host's cache was damaged and is out of it now."""
        with self._lock:
            self._rows[(THIS_HOST, md5)] = False
        kept = f"put aside as {aside}" if aside is not None else "removed"
        self.say(f"object {md5} in the cache of this host was damaged: {kept}")

    def there(self, remote: str, md5s: Iterable[str]) -> None:
        """Objects of a remote are damaged: none of them was used."""
        found = list(dict.fromkeys(md5s))
        with self._lock:
            self._rows |= dict.fromkeys(((remote, md5) for md5 in found), False)
            self._change(remote, lambda known: known | set(found))
        self.say(f"damaged on the DVC remote '{remote}', and not used: {_listed(found)}")

    def doubt(self, remote: str, md5s: Iterable[str]) -> None:
        """Nobody looked at these objects of a remote, but others of the same run are damaged: they are sent again."""
        with self._lock:
            self._change(remote, lambda known: known | {_DOUBTED + md5 for md5 in md5s})

    def doubted(self, remote: str) -> frozenset[str]:
        """Objects of a remote, also folders with all their members, that are to be sent again unseen."""
        with self._lock:
            known = self._read().get(remote, ())
        return frozenset(name.removeprefix(_DOUBTED) for name in known if name.startswith(_DOUBTED))

    def known(self, remote: str) -> frozenset[str]:
        """Objects of a remote that were damaged when somebody last looked."""
        with self._lock:
            return frozenset(name for name in self._read().get(remote, ()) if not name.startswith(_DOUBTED))

    def replaced(self, remote: str, md5s: Iterable[str]) -> None:
        """Good bytes are at the remote in place of damaged ones."""
        found = list(dict.fromkeys(md5s))
        if not found:
            return
        with self._lock:
            self._rows |= dict.fromkeys(((remote, md5) for md5 in found), True)
            self._change(remote, lambda known: known - set(found))
        self.say(f"replaced on the DVC remote '{remote}' by good bytes: {_listed(found)}")

    def sent_again(self, remote: str, md5s: Iterable[str]) -> None:
        """What was doubted has been sent."""
        with self._lock:
            self._change(remote, lambda known: known - {_DOUBTED + md5 for md5 in md5s})

    def report(self, is_here: Callable[[str], bool]) -> list[dict[str, str | bool]]:
        """What a record says of it, at most a thousand rows; `is_here` tells whether the cache has an object now."""
        with self._lock:
            rows = sorted(self._rows.items())[:_MOST_ROWS]
        return [
            {"where": where, "md5": md5, "replaced": is_here(md5) if where == THIS_HOST else replaced}
            for (where, md5), replaced in rows
        ]

    def recorded(self) -> None:
        """Everything found so far is recorded: it is not to be said twice."""
        with self._lock:
            self._rows.clear()

    def _change(self, remote: str, change: Callable[[set[str]], set[str]]) -> None:
        known = self._read()
        before = set(known.get(remote, ()))
        after = change(before)
        if after != before:
            self._write({**known, remote: sorted(after)})

    def _read(self) -> dict[str, list[str]]:
        try:
            found = json.loads(self.file.read_bytes())
            return {str(remote): [str(md5) for md5 in md5s] for remote, md5s in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}  # see above

    def _write(self, known: dict[str, list[str]]) -> None:
        kept = {remote: md5s for remote, md5s in known.items() if md5s}
        with host_errors(f"write {self.file}"):
            if not kept:
                self.file.unlink(missing_ok=True)
                return
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part = self.file.with_name(f"{self.file.name}.{os.getpid()}.{threading.get_ident()}")
            part.write_text(json.dumps(kept))
            part.replace(self.file)


def _listed(md5s: list[str]) -> str:
    more = len(md5s) - _SHOWN
    return ", ".join(md5s[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
