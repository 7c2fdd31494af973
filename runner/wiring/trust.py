"""Trust that a person configured on this host: which states and records a trust file lets count.

Signatures are looked at where something is new: what this host has verified is remembered in its home, so a state that
did not move costs nothing. Without a trust file nothing of this is asked.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.plan import EVIDENCE, evidence_entry, lock_material
from runner.core.predicates import PROPOSALS, RUNNER
from runner.core.recorded import Entry, OutFact
from runner.errors import Held, InputError, RunnerError
from runner.git.command import is_oid
from runner.git.read import Reader
from runner.ledger.in_place import is_recorded
from runner.ledger.state import Believes, Memo, State
from runner.observe import refs
from runner.values import replace
from runner.wiring.home import RepositoryHome

if TYPE_CHECKING:
    from runner.audit.chain import Examiner
    from runner.audit.foundation import Pin
    from runner.audit.trust import Trust
    from runner.core.nouns import Desired
    from runner.specs.parse_cache import ParseCache

_WHOLE = "whole"
"""Where the cache says of a state commit that all of its records were read, and everything else is what they say."""
_MOST_NAMED = 3


class Trusting:
    """A trust file, and what this host has verified by it of one repository."""

    def __init__(self, file: Path, home: RepositoryHome, parsed: ParseCache, *, remembers: bool = True) -> None:
        """`remembers`: whether to write down what was verified. Raises InputError where the file cannot be read."""
        try:
            self._bytes = file.read_bytes()  # once: what is hashed is what is followed
        except OSError as error:
            hint = "docs/audit.md shows one; it is named by --trust, RUNNER_TRUST, or lies in the runner's folder"
            raise InputError(f"{file}: {error.strerror}", hint) from error
        self._digest = hashlib.sha256(self._bytes).hexdigest()
        self.file = file
        self._home = home
        self._parsed = parsed
        self._remembers = remembers
        self._notices: dict[str, None] = {}
        self._pins: dict[str, Pin] = {}
        self._specs: dict[str, Desired | None] = {}

    @functools.cached_property
    def trust(self) -> Trust:
        """What the file says; raises SpecError with everything that is wrong in it."""
        from runner.audit.trust import parse_trust  # imported late: start-up

        return parse_trust(self._bytes, self.file)

    @functools.cached_property
    def examiner(self) -> Examiner:
        """Looks at records by it."""
        return self._examiner(self.trust)

    def notices(self) -> list[str]:
        """What was found not to count since this was asked last."""
        found = list(self._notices)
        self._notices.clear()
        return found

    # States

    def opened(self, reader: Reader, commit: str, branch: str, memo: Memo | None, tips: Sequence[str]) -> State:
        """The state at a commit of a branch, once it was found to be what trusted runners left; raises Held.

        `tips` are commits whose history holds the lock files that evidence may name.
        """
        pin = self._known(branch)
        if pin is None or pin.commit != commit or not self._stands(pin):
            pin = self._verified(reader, commit, branch, pin, tips)
        state = State(reader, commit, memo=memo, believes=self._own(branch, commit, pin.accepted))
        state.doubted = frozenset(pin.doubted)
        for address in pin.doubted:
            self._note(f"{address}: no lock file of the watched branch says what {branch} says; it is asked again")
        return state

    def seen_through(self, reader: Reader, commit: str, branch: str, memo: Memo | None, tips: Sequence[str]) -> State:
        """The same for who only looks: what would be held is a notice."""
        try:
            return self.opened(reader, commit, branch, memo, tips)
        except Held as held:
            self._note(f"a reconcile would hold (exit code 6): {held.message}")
            return State(reader, commit, memo=memo)

    def others(self, reader: Reader, states: Sequence[State], own: State | None, tips: Sequence[str]) -> list[State]:
        """States of other branches as far as they may count: of proposals only what a trusted key signed."""
        number = own.summary.head.sequence + 1 if own is not None else 1
        found = []
        for state in states:
            if state.ref.startswith(refs.PROPOSED + "/"):
                believes = self._of_proposal(number)
                found.append(State(reader, state.commit, ref=state.ref, believes=believes))
                continue
            try:
                checked = self.opened(reader, state.commit, state.ref, None, tips)
            except Held as held:
                self._note(f"{held.message}; nothing of it is reused")
                continue
            checked.ref = state.ref
            found.append(checked)
        return found

    def ends(self, reader: Reader, branch: str) -> functools.partial[bool]:
        """Says of a commit of the runner on a branch whether it is known, or at least its end is well signed."""
        return functools.partial(self._end_counts, reader, branch)

    def verified(self, branch: str) -> str | None:
        """The commit of a branch that this host has verified last, or that a person accepted; None for none."""
        pin = self._known(branch)
        return pin.commit if pin is not None else None

    def doubts(self, records: Sequence[bytes], first: int) -> list[int]:
        """Numbers of the records, the first of which has the number `first`, that nobody who is trusted signed."""
        return [number for number, data in enumerate(records, first) if self._breaks(self.examiner, number, data)]

    def accept(self, reader: Reader, commit: str | None, branch: str) -> None:
        """A person goes on from this commit (None: from none), whoever signed it. Raises Held for no ledger at all."""
        self._pins.pop(branch, None)
        self._home.verified(branch).unlink(missing_ok=True)
        if commit is not None:
            from runner.audit.foundation import pin_of  # imported late: start-up

            state = State(reader, commit)
            self._remember(branch, pin_of(reader, state, self._digest, accepted=state.summary.head.sequence))

    def check_signer(self, public_key: bytes | None, number: int, *, proposal: bool) -> None:
        """Raise InputError where what is going to be recorded would not be trusted by this very file."""
        trust = self.trust
        if public_key is None:
            if number <= trust.unsigned_to:
                return
            raise InputError(
                f"{self.file} trusts signed records alone, and no key is configured to sign record {number}",
                "set RUNNER_SIGNING_KEY; docs/audit.md says how",
            )
        wanted = {RUNNER, PROPOSALS} if proposal else {RUNNER}
        own = [key for key in trust.keys if key.public_key == public_key]
        if not any(key.covers(number) and wanted & set(key.roles) for key in own):
            from runner.core.dsse import fingerprint

            why = "does not name it" if not own else "does not let it"
            do = "add the key with `roles` and `from`" if not own else "see `roles`, `from` and `to` in its line there"
            raise InputError(
                f"{fingerprint(public_key)} would sign record {number}, and {self.file} {why}",
                f"{do}, or sign with one that is trusted",
            )

    # Parts of the above

    def _known(self, branch: str) -> Pin | None:
        if branch not in self._pins:
            from runner.audit.foundation import Pin  # imported late: start-up

            try:
                self._pins[branch] = Pin.from_json(json.loads(self._home.verified(branch).read_bytes()))
            except (OSError, ValueError, KeyError, TypeError):
                return None  # never verified, or not readable: it is verified anew
        return self._pins[branch]

    def _stands(self, pin: Pin) -> bool:
        """Whether nothing has to be looked at again: the same trust, or a person accepted this very commit."""
        return pin.trust == self._digest or pin.accepted == pin.base.size

    def _verified(self, reader: Reader, commit: str, branch: str, pin: Pin | None, tips: Sequence[str]) -> Pin:
        from runner.audit.foundation import check_foundation  # imported late: start-up
        from runner.wiring.added import added_files

        is_later = (
            pin is not None
            and pin.commit != commit
            and reader.exists(pin.commit)
            and reader.is_ancestor(pin.commit, commit)
        )
        is_proposal = branch.startswith(refs.PROPOSED + "/")
        result = check_foundation(
            reader,
            State(reader, commit),
            self.examiner,
            pin if is_later else None,
            trust=self._digest,
            proposal=is_proposal,
            in_place=not branch.startswith(refs.OWN_PREFIX) and is_recorded(reader, commit),
            accepted=pin.accepted if pin is not None and (is_later or pin.commit == commit) else 0,
            vouches=functools.partial(self._vouches, reader, tips),
            # What a stranger's commit is read to enters no cache that a trusted plan reads.
            adds=None if is_proposal else functools.partial(added_files, reader, self._parsed),
            whole=self._parsed.get(_WHOLE, commit) is True,
        )
        if result.found:
            found = sorted(set(result.found))
            named = "; ".join(str(one) for one in found[:_MOST_NAMED])
            more = f" (and {len(found) - _MOST_NAMED} more)" if len(found) > _MOST_NAMED else ""
            raise self._held(branch, commit, named + more)
        if not result.pin.accepted:
            self._parsed.put(_WHOLE, commit, True)  # for who may remember no more: a plan where nobody reconciles
        self._remember(branch, result.pin)
        return result.pin

    def _held(self, branch: str, commit: str, why: str) -> Held:
        return Held(
            f"{branch} at {commit[:12]} is not what a trusted runner left: {why}",
            f"`runner audit verify {commit} --trust {self.file}` says more; restore the branch, or go on from it as it "
            f"is with `runner reconcile --accept-state {commit}`; records that were made before there was a key count "
            "with `unsigned: {to: N}` in the trust file",
        )

    def _remember(self, branch: str, pin: Pin) -> None:
        self._pins[branch] = pin
        if not self._remembers:
            return
        file = self._home.verified(branch)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_text(json.dumps(pin.as_json()))
        os.replace(part, file)

    def _own(self, branch: str, commit: str, accepted: int) -> Believes:
        def believes(_ref: str, number: int, data: bytes) -> bool:
            found = [] if number <= accepted else self._breaks(self.examiner, number, data)
            if found:
                raise self._held(branch, commit, found[0])
            return True

        return believes

    def _of_proposal(self, next_number: int) -> Believes:
        """A key that has ended on the ledger at hand signs nothing that is taken over, whatever number it claims."""
        keys = tuple(key for key in self.trust.keys if key.covers(next_number))
        examiner = self._examiner(replace(self.trust, keys=keys, unsigned_to=0))

        def believes(ref: str, number: int, data: bytes) -> bool:
            found = self._breaks(examiner, number, data)
            if found:
                self._note(f"{ref}: {found[0]}; its result is not reused")
            return not found

        return believes

    def _end_counts(self, reader: Reader, branch: str, commit: str) -> bool:
        from runner.audit.foundation import end_is_signed  # imported late: start-up

        pin = self._known(branch)
        return (pin is not None and pin.commit == commit) or end_is_signed(reader, self.examiner, commit)

    def _breaks(self, examiner: Examiner, number: int, data: bytes) -> list[str]:
        from runner.audit.foundation import record_breaks  # imported late: start-up

        return [str(one) for one in record_breaks(examiner, number, data)]

    def _examiner(self, trust: Trust) -> Examiner:
        from runner.audit.chain import Examiner  # imported late: start-up
        from runner.process.signing_keys import verifies
        from runner.wiring.signing import statement_checker

        return Examiner(statement_checker(), verifies, trust)

    def _vouches(self, reader: Reader, tips: Sequence[str], entry: Entry) -> bool:
        """Whether evidence is what a lock file in the history of these commits says."""
        commit = entry.provenance.removeprefix(EVIDENCE)
        if commit == entry.provenance or not is_oid(commit):
            return False
        if commit not in self._specs:
            self._specs[commit] = self._desired(reader, commit, tips)
        desired = self._specs[commit]
        stage = next((one for one in desired.stages() if one.address == entry.address), None) if desired else None
        lock = desired.locks.get(entry.address) if desired is not None else None
        if desired is None or stage is None or lock is None:
            return False
        material = lock_material(stage, lock, desired.project.shell or "bash")
        expected = evidence_entry(stage, lock, material, commit)
        same = (expected.key, expected.material) == (entry.key, dict(entry.material))
        return same and _without_git(expected.outs) == _without_git(entry.outs)

    def _desired(self, reader: Reader, commit: str, tips: Sequence[str]) -> Desired | None:
        from runner.specs.desired import read_specs

        if not reader.exists(commit) or not any(reader.is_ancestor(commit, tip) for tip in tips):
            return None
        try:
            return read_specs(reader, commit, self._parsed).desired
        except RunnerError:
            return None  # what cannot be read any more vouches for nothing

    def _note(self, text: str) -> None:
        self._notices[text] = None


def _without_git(outs: Sequence[OutFact]) -> list[OutFact]:
    """Where the bytes of an uncached output lie in git may become known later."""
    return [replace(out, git_id=None) for out in outs]
