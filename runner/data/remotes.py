"""DVC remotes: bytes go there before anything names them, and come from there only if they are what their name says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from runner.data.cache import Cache
from runner.data.config import DvcConfig
from runner.data.damage import Damage
from runner.data.faults import DamagedObjects, MissingObjects
from runner.data.places import Place, each, place
from runner.errors import InputError
from runner.failpoints import reached
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class Transferred:
    """What really went over the wire; what was there already does not count."""

    objects: int = 0
    size_bytes: int = 0

    def __add__(self, other: Transferred) -> Transferred:
        return Transferred(self.objects + other.objects, self.size_bytes + other.size_bytes)


class Remotes:
    """The remotes of a DVC configuration, and the cache that they fill and are filled from.

    A remote is reached when it is first used. `name` None is the default remote. Methods raise InputError for a remote
    that does not exist or is badly described, and HostError, with a hint, where one cannot be reached.
    """

    def __init__(
        self,
        config: DvcConfig,
        cache: Cache,
        *,
        durable: bool = True,
        damage: Damage | None = None,
        open_place: Callable[..., Place] = place,
    ) -> None:
        """`durable`: a push to a folder of this host also waits for the disk. `damage` keeps what is found damaged."""
        self._damage = damage
        self._open_place = open_place
        self._config = config
        self._cache = cache
        self._durable = durable
        self._places: dict[str, Place] = {}

    @staticmethod
    def load(
        committed: bytes | None,
        local: bytes | None,
        override: Path | None,
        base: Path | None,
        *,
        cache: Cache,
        durable: bool = True,
        damage: Damage | None = None,
    ) -> Remotes:
        """The remotes that `DvcConfig.load` finds; see there for the arguments."""
        return Remotes(DvcConfig.load(committed, local, override, base=base), cache, durable=durable, damage=damage)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all remotes."""
        return tuple(self._config.remotes)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Options of the committed configuration that are not followed, since they could run something."""
        return self._config.ignored

    def default_name(self) -> str | None:
        """Name of the default remote (`core.remote`); None where there is none."""
        return self._config.default_remote

    def url(self, name: str | None = None) -> str | None:
        """Where the remote is, without user and password; None where there is no such remote."""
        chosen = name or self._config.default_remote
        options = self._config.remotes.get(chosen.lower()) if chosen else None
        url = options.get("url") if options else None
        return re.sub(r"(\w+://)[^/@]*@", r"\1", str(url)) if url else None

    def described(self, name: str | None = None) -> str:
        """The remote in words, for messages: its name, and where it is."""
        return f"remote '{name or self._config.default_remote}' ({self.url(name)})"

    def lost_folder(self, name: str | None = None) -> str | None:
        """The folder of a remote that is one of this host, where it is not there; a push would make it."""
        options = self._config.remotes.get((name or self._config.default_remote or "").lower()) or {}
        url = str(options.get("url", ""))
        return url if os.path.isabs(url) and not os.path.lexists(url) else None

    def check(self, name: str | None = None) -> None:
        """Raise what `push` would say of the description of a remote, without reaching it."""
        self._place(name)

    def exists(self, md5s: Iterable[str], name: str | None = None, *, legacy: bool = False) -> set[str]:
        """Those of the objects that are on the remote; a folder's listing says nothing of its members."""
        return self._place(name).exists(list(dict.fromkeys(md5s)), legacy)

    def push(self, md5s: Iterable[str], name: str | None = None) -> Transferred:
        """Bring files and folders there; when it returns, every byte of every one of them is there.

        Only what is missing is sent, and a folder's listing after its members. An object that is known to be damaged
        there, or has another size than the good one here, counts as missing and is replaced. Raises MissingObjects for
        what is neither there nor whole in the cache; then nothing was sent.
        """
        remote = self._place(name)
        folders = [md5 for md5 in dict.fromkeys(md5s) if md5.endswith(".dir")]
        single = [md5 for md5 in dict.fromkeys(md5s) if not md5.endswith(".dir")]
        here = [md5 for md5 in folders if self._cache.has(md5)]
        members = [member for md5 in here for _, member in self._cache.listing(md5)]
        wanted = list(dict.fromkeys([*single, *members, *folders]))
        there = remote.sizes(wanted)
        chosen = self._chosen(name)[0]
        bad = self._bad(chosen, wanted, there)
        again = bad | self._doubted(chosen, wanted)
        sound = self._cache.trusted(md5 for md5 in wanted if md5 not in there or md5 in again)
        files = {md5: path for md5, path in sound.items() if not md5.endswith(".dir")}
        listings = {md5: path for md5, path in sound.items() if md5.endswith(".dir")}
        for batch in (files, listings):
            if batch:
                remote.put(batch)
                reached("bytes-pushed")
        if self._damage is not None:
            self._damage.replaced(chosen, sorted(bad))
            self._damage.sent_again(chosen, wanted)
        return Transferred(len(sound), sum(path.stat().st_size for path in sound.values()))

    def pull(self, md5s: Iterable[str], name: str | None = None, *, legacy: bool = False) -> Transferred:
        """Bring files and folders into the cache, where they are not there yet; each one is hashed first.

        Raises DamagedObjects, naming them, for those whose bytes do not match their name, and MissingObjects for those
        that the remote lacks; the others are in the cache then.
        """
        wanted = list(dict.fromkeys(md5s))
        remote = self._place(name)
        folders = [md5 for md5 in wanted if md5.endswith(".dir")]
        first = self._fetch(remote, wanted, name, legacy)
        members = [member for md5 in folders for _, member in self._cache.listing(md5, legacy)]
        return first + self._fetch(remote, members, name, legacy)

    def copy(self, md5: str, target: Path, name: str | None = None) -> None:
        """Write one object to a new file, past the cache; whoever asks compares it. Raises MissingObjects."""
        if not self._place(name).get(md5, target, False):
            raise MissingObjects([md5], self.described(name), "push it from a clone or a host that has it: dvc push")

    def _bad(self, chosen: str, wanted: Iterable[str], there: Mapping[str, int | None]) -> set[str]:
        """Those of the objects at a remote that are not what their names say, as far as that is known."""
        known = self._damage.known(chosen) if self._damage is not None else frozenset()
        own = {md5: self._cache.size_bytes(md5) for md5 in there}
        other = {md5 for md5, size in there.items() if size is not None and own[md5] not in (None, size)}
        return set(known.intersection(wanted)) | {md5 for md5 in other if self._is_whole_here(md5)}

    def doubt(self, md5s: Iterable[str], name: str | None = None) -> None:
        """Have files and folders sent again by the next push, whatever is there under their names."""
        if self._damage is not None:
            self._damage.doubt(self._chosen(name)[0], md5s)

    def _doubted(self, chosen: str, wanted: Iterable[str]) -> set[str]:
        doubted = self._damage.doubted(chosen).intersection(wanted) if self._damage is not None else ()
        folders = [md5 for md5 in doubted if md5.endswith(".dir")]
        return {*doubted, *(member for folder in folders for _, member in self._cache.listing(folder))}

    def _is_whole_here(self, md5: str) -> bool:
        try:
            self._cache.trusted([md5])
        except MissingObjects:
            return False
        return True

    def _fetch(self, remote: Place, md5s: Iterable[str], name: str | None, legacy: bool) -> Transferred:
        wanted = self._cache.unusable(md5s, legacy)
        missing: list[str] = []
        damaged: list[str] = []
        sizes: list[int] = []

        def fetch(md5: str) -> None:
            temporary = self._cache.temporary()
            try:
                if not remote.get(md5, temporary, legacy):
                    missing.append(md5)
                    return
                size_bytes = temporary.stat().st_size
                if self._cache.admit(temporary, md5, legacy):
                    sizes.append(size_bytes)
                else:
                    damaged.append(md5)
            except DamagedObjects as error:
                damaged.extend(error.md5s)
            finally:
                temporary.unlink(missing_ok=True)

        each(fetch, wanted, remote.jobs)
        if damaged:
            if self._damage is not None:
                self._damage.there(self._chosen(name)[0], damaged)
            raise DamagedObjects(damaged, self.described(name))
        if missing:
            raise MissingObjects(
                missing, self.described(name), "push them from a clone or a host that has them: dvc push"
            )
        return Transferred(len(sizes), sum(sizes))

    def _place(self, name: str | None) -> Place:
        chosen, options = self._chosen(name)
        if chosen not in self._places:
            config = {"core": dict(self._config.core), "remote": _plain(self._config.remotes)}
            self._places[chosen] = self._open_place(chosen, options, config, durable=self._durable)
        return self._places[chosen]

    def _chosen(self, name: str | None) -> tuple[str, Mapping[str, Any]]:
        if name is None and self._config.default_remote is None:
            raise InputError(
                "there is no default DVC remote", "add one: dvc remote add -d NAME URL, and commit .dvc/config"
            )
        chosen = (name or self._config.default_remote or "").lower()
        options = self._config.remotes.get(chosen)
        if options is None:
            import difflib  # imported late: start-up

            near = difflib.get_close_matches(chosen, self.names, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(self.names) or 'none'}"
            raise InputError(f"there is no DVC remote '{chosen}'", hint)
        return chosen, options


def _plain(remotes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(options) for name, options in remotes.items()}
