"""This runner's claim on the remote, kept fresh while stages run, and what others claim.

One ref for each reconcile, `refs/runner/claims/<id>`, or a branch of that name where a host refuses other refs. First
the own claim is placed, then the others' are read; whoever then sees a stage of his in another's claim leaves it to the
other. Two that see each other both step back, and try again after a while that is not the same for both.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from runner.core.canonical import canonical_bytes
from runner.core.claims import Claim, Watch, holder, parse_claim
from runner.core.nouns import Address
from runner.core.own_refs import CLAIMS, TURNS, Refusal
from runner.errors import RunnerError
from runner.failpoints import reached
from runner.git.commit import CommitRequest, Identity
from runner.ledger.objects import History
from runner.record import own_refs
from runner.record.liveness import Beat, HomeLocks, Locks, ThreadBeat
from runner.values import dataclass, field, replace

_TROUBLE = (RunnerError, OSError)
"""Of the remote or of this host: claims are advice, so no work ends for it, and the next beat tries again."""
_UPDATE_SECONDS = 2.0
"""How soon others hear of work whose key only became known while stages ran."""
_POLL_SECONDS = (0.5, 5.0)
_STEP_BACK_SECONDS = ((0.0, 0.3), (0.7, 1.6))
"""How long the first and the second of two wait that stepped back from each other."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A claim as it is on the remote now."""

    claim: Claim
    ref: str
    oid: str


class Refs(own_refs.Refs, Protocol):
    """The same with what claims need besides: they are commits of their own."""

    def tip(self, branch: str) -> str | None:
        """The commit of a branch as of the last fetch or push."""

    def write_commit(self, request: CommitRequest, *, pack: bool = True) -> str:
        """Make a commit; no ref names it yet."""

    def fetch_refs(self, refs: Sequence[str]) -> None:
        """Bring these refs, given by their full names, under the same names; raises HostError where that fails."""


@dataclass
class Claims:
    """Claims of one reconcile; `held_elsewhere` may be called from any thread, all else from one."""

    mirror: Refs
    locks: Locks
    """By them the runners of this home know at once who of them lives."""
    own: Claim
    """What this runner says of itself; empty until `take`."""
    watch: Watch
    notice: Callable[[str], None]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    beat: Beat = field(default_factory=ThreadBeat)
    between: Callable[[float, float], float] = random.uniform
    """A number by chance."""
    _others: tuple[Claim, ...] = ()
    _left: dict[str, Claim] = field(default_factory=dict)
    """By run key a claim that was taken back since: its results are recorded, and this round does not know them yet."""
    _tip: str | None = None
    """Where the branch that results go to was when the claims were read."""
    _ref: str | None = None
    _refusal: Refusal = field(default_factory=Refusal)
    """This reconcile's, so that a remote which refused once is asked again by the next."""
    _refused: bool = False
    _dirty: bool = False
    _stepped_back: bool = False
    _beaten_at: float = 0.0
    _keys: dict[str, str] = field(default_factory=dict)
    """What is claimed by now, by key; others hear of it with the next beat."""
    _waiting: dict[str, None] = field(default_factory=dict)
    """Stages that may come to run here, in order."""
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _has_ended: bool = False

    def take(self, keys: Mapping[str, Address], waiting: Sequence[Address], tip: str | None) -> bool:
        """Claim this work as far as nobody else has; nothing is raised, since a claim is only advice.

        False where the branch that results go to is not at `tip` any more: somebody may have recorded just this work,
        and taken his claim back, since the plan was made.
        """
        if not (keys or waiting) or self._refused:
            return True
        self.locks.hold(self.own.id)
        wanted = {key: str(address) for key, address in keys.items()}
        names = tuple(sorted(str(address) for address in waiting))
        self.own = replace(self.own, keys=wanted, waiting=names, since=self.clock())
        self._keys, self._waiting = dict(wanted), dict.fromkeys(names)
        try:
            if not self._place():
                return True
            others = self.read()
            if self._tip != tip:
                return False
            taken = {key for key, address in keys.items() if holder(others, key, address, self.own.desired)}
            if taken:
                self._stepped_back = True
                self._keys, self._waiting = {key: wanted[key] for key in wanted.keys() - taken}, {}
                self.own = replace(self.own, keys=dict(self._keys), waiting=())
                self._place() if self.own.keys else self._drop()
        except _TROUBLE as error:
            self._say_once(error)
        if self._ref is not None:
            self._beaten_at = self.monotonic()
            self.beat.start(self._renew, min(_UPDATE_SECONDS, self.watch.beat_seconds))
        return True

    def held_elsewhere(self, key: str | None, address: Address) -> Claim | None:
        """The claim of somebody else who runs this stage; None where it is ours to run, and is claimed from here on."""
        with self._guard:
            if key is None or key in self._keys:
                return None
            # What waits here was claimed before any of the others who claimed that it waits there, too.
            is_ours = str(address) in self._waiting
            others = [claim for claim in self._others if key in claim.keys] if is_ours else self._others
            found = self._left.get(key) or holder(others, key, address, self.own.desired)
            if found is None and self._ref is not None:
                self._keys[key] = str(address)
                self._waiting.pop(str(address), None)
                self._dirty = True
            return found

    def wait(self, held: Mapping[Address, str], stop: threading.Event) -> bool:
        """Wait until one of these keys may be free, or something new is recorded; False on a stop."""
        tip = self.mirror.tip(self.own.branch)
        if self._stepped_back:
            first = all(self.own.id < other.id for other in self._others)
            stop.wait(self.between(*_STEP_BACK_SECONDS[0 if first else 1]))
            self._stepped_back = False
        pause = _POLL_SECONDS[0]
        while not stop.wait(pause):
            try:
                others = self.read()
            except _TROUBLE as error:
                self._say_once(error)
                return True  # the next look at the remote says what is wrong
            if self._tip != tip or any(holder(others, k, a, self.own.desired) is None for a, k in held.items()):
                return True
            pause = min(pause * 1.5, _POLL_SECONDS[1])
        return False

    def read(self) -> tuple[Claim, ...]:
        """Others' claims that count now; raises HostError where the remote cannot be asked."""
        branch = f"refs/heads/{self.own.branch}"
        placed, listed = read_claims(self.mirror, branch)
        self._tip = listed.get(branch)
        theirs = {name: row for name, row in placed.items() if name != self.own.id}
        alive = self.watch.look({name: row.oid for name, row in theirs.items()}, self.monotonic())
        dead = {name for name, row in theirs.items() if name not in alive or self._is_gone(row.claim)}
        for name in dead:
            self.mirror.drop(theirs[name].ref, theirs[name].oid)
        others = tuple(row.claim for name, row in sorted(theirs.items()) if name not in dead)
        with self._guard:
            self._left |= {key: claim for claim in self._others if claim.id not in theirs for key in claim.keys}
            self._others = others
        return others

    def to_drop(self) -> list[str]:
        """Refs to remove in the same push that publishes the last results; they are not renewed any more."""
        if self._ref is None or not self._has_ended:
            return []
        self.beat.stop()
        return [self._ref]

    def ended(self) -> None:
        """No stage runs any more; what is claimed stays so, and is renewed, until the results are published."""
        self._has_ended = True

    def dropped(self) -> None:
        """A push has removed what was to be dropped."""
        if self._has_ended:
            self._ref = None

    def release(self) -> None:
        """Take the claim back, whatever came of it."""
        self.beat.stop()
        try:
            self._drop()
        except _TROUBLE as error:
            self._say_once(error)  # others see that it does not change any more
        self.locks.let_go()
        self.own = replace(self.own, keys={}, waiting=())
        self._keys, self._waiting = {}, {}
        reached("claim-dropped")

    # How

    def _renew(self) -> None:
        """Say that this runner lives, and what has become its work since."""
        now = self.monotonic()
        if not self._dirty and now - self._beaten_at < self.watch.beat_seconds:
            return
        self._beaten_at = now
        try:
            self._place()
            self.read()
        except _TROUBLE as error:
            self._say_once(error)

    def _place(self) -> bool:
        """Put the claim as it is now on the remote; False where the remote takes none."""
        with self._guard:
            waiting = tuple(self._waiting)
            self.own = replace(self.own, beat=self.own.beat + 1, keys=dict(self._keys), waiting=waiting)
            self._dirty = False
            claim = self.own
        stages = f"{len(claim.keys)} stage{'s' if len(claim.keys) != 1 else ''}"
        commit = self.mirror.write_commit(
            CommitRequest(
                parents=(claim.desired,),
                base_tree=None,
                message=f"Claim of {claim.host} for {claim.desired[:12]}: {stages}\n\n{_text(claim)}\n",
                author=Identity("runner", f"runner@{claim.host}"),
                time_epoch=int(self.clock()),
            ),
            pack=False,
        )
        ref, result = own_refs.place(self.mirror, CLAIMS, claim.id, commit, self._refusal)
        if ref is not None:
            self._ref = ref
            reached("claim-placed")
            return True
        self._refused = True
        why = f" (it said: {result.detail})" if result is not None and result.detail else ""
        may = "two runners at once may run the same stage, and it may refuse the results, too"
        self.notice(f"the remote takes no claims{why}: {may}")
        return False

    def _drop(self) -> None:
        if self._ref is None:
            return
        own_refs.remove(self.mirror, self._ref)
        self._ref = None

    def _is_gone(self, claim: Claim) -> bool:
        """Whether a runner of this same home died: the kernel gave its lock back."""
        return claim.home == self.own.home and self.locks.is_free(claim.id)

    def _say_once(self, error: RunnerError | OSError) -> None:
        if not self._refused:
            self._refused = True
            why = (
                error.message
                if isinstance(error, RunnerError)
                else f"{error.filename or 'this host'}: {error.strerror}"
            )
            self.notice(f"claims cannot be kept now, so another runner may run the same: {why}")


def take_back(mirror: Refs, folder: Path) -> None:
    """Remove the claims and the turns of dead runners of this home, which left their files in `folder`.

    Raises HostError where the remote cannot be reached; what is left then counts no more after its time.
    """
    locks = HomeLocks(folder)
    dead = locks.dead()
    if dead:
        own_refs.remove(mirror, *(one for name in dead for one in CLAIMS.patterns(name) + TURNS.patterns(f"*/{name}")))
    for name in dead:
        locks.forget(name)


def read_claims(mirror: Refs, *more: str) -> tuple[dict[str, Placed], dict[str, str]]:
    """Every claim on the remote now by name, and where the refs are that were listed: `more` are asked for as well.

    What somebody else put there that is no claim is passed over. Raises HostError where the remote cannot be asked.
    """
    listed = mirror.listed(*CLAIMS.patterns(), *more)
    found = {ref: listed[ref] for ref in CLAIMS.found(listed).values()}
    unknown = [ref for ref, oid in found.items() if not mirror.reader.exists(oid)]
    if unknown:
        mirror.fetch_refs(unknown)
    return known_claims(mirror.reader, found), listed


def known_claims(reader: History, found: Mapping[str, str]) -> dict[str, Placed]:
    """The claims behind these refs (full name to commit), as far as their commits are here."""
    result: dict[str, Placed] = {}
    for name, ref in CLAIMS.found(found).items():
        oid = found[ref]
        if reader.exists(oid):
            claim = parse_claim(reader.commit(oid).message.rstrip("\n").rpartition("\n")[2])
            if claim is not None and claim.id == name:
                result[name] = Placed(claim, ref, oid)
    return result


def _text(claim: Claim) -> str:
    return canonical_bytes(claim.as_json()).decode()
