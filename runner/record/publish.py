"""Publication: bytes to the DVC remote, then one commit on one ref, accepted by compare-and-swap or not at all.

On a lost race everything is decided again on the new state; on a lost acknowledgement our own commit is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runner.core.actions import Action
from runner.core.digests import parse_listing
from runner.core.git_ids import blob_id, folder_id
from runner.core.nouns import Address, Desired
from runner.core.recorded import Entry, Hit, OutFact
from runner.core.records import RunFacts
from runner.core.verification import DIFFERS, Checked
from runner.errors import Held, HostError, RaceLost
from runner.failpoints import reached
from runner.git.commit import CommitRequest, FileContent, Identity
from runner.git.push import PushResult, PushStatus
from runner.ledger import in_place, layout
from runner.ledger.objects import History
from runner.ledger.state import State, Summary
from runner.record import tree as tree_files
from runner.record.ledger import (
    Batch,
    NoSigner,
    Signer,
    append_reconcile,
    append_runs,
    append_verification,
    begin,
    numbered,
    recorded_verification,
    unrecorded,
    write_checkpoint,
    write_index,
)
from runner.record.sealing import seal
from runner.record.standing import Standing
from runner.record.tree import Files, Sources
from runner.record.turns import Turns
from runner.values import dataclass, field, replace

if TYPE_CHECKING:
    from runner.core.releases import Verdict

_TRIES = 12
_UNHEARD = 2
"""Pushes without an answer, one after the other, that did not arrive: the remote does not work, and no race is lost."""
_KEPT = ("the results are kept on this host", "the next reconcile publishes them")
_NOT_KEPT = ("nothing is recorded", "run it again")
"""Of a verification: it is in no journal."""
_NOT_RELEASED = ("nothing is released", "the next reconcile decides again")


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication came to."""

    commit: str | None
    """The new state commit; None where there was nothing to say."""
    state: State | None
    """The state as it is now."""
    dropped: tuple[Mapping[str, Any], ...] = ()
    """Runs whose key somebody else had recorded first, as the record of a reconcile names them."""
    verification: int | None = None
    """The number of the record of a verification."""
    newer: str | None = None
    """The commit that counts instead, where what is desired is older and nothing of it was recorded."""


class Copy(Protocol):
    """This host's copy of the remote: `runner.git.mirror.Mirror`, or the simulator's."""

    @property
    def reader(self) -> History:
        """What the copy holds."""

    def fetch(self) -> None:
        """Bring the copy up to date; raises HostError where the remote cannot be reached."""

    def tip(self, branch: str) -> str | None:
        """The commit of a branch as of the last fetch or push."""

    def write_commit(self, request: CommitRequest) -> str:
        """Make a commit, on disk for good before this returns; no ref names it yet."""

    def push(self, sha: str, branch: str, expected: str | None, *, drop: Sequence[str] = ()) -> PushResult:
        """Move the remote's branch from `expected` (None: it must not exist) to a commit, by compare-and-swap.

        The refs `drop` are removed along with it, whatever comes of the branch.
        """


@dataclass
class Publisher:
    """Publishes for one desired commit to one state ref."""

    mirror: Copy
    turns: Turns
    """Whose turn it is, where several publish at once."""
    branch: str
    desired: Desired
    push_bytes: Callable[[Sequence[tuple[str, str | None]]], None]
    """Takes (digest, name of the remote or None) and returns when the remote has them all."""
    sources: Sources
    open_state: Callable[[str], State]
    standing: Callable[[State | None, Sequence[RunFacts]], Standing]
    """What stands on a state after some runs: the plan's own walk."""
    accepted_run: Callable[[Hit], RunFacts]
    """The run another ref recorded, to be taken over."""
    author: Identity
    clock: Callable[[], float]
    facts: Mapping[str, Any]
    """What the reconcile record says beside what changed: its id, host, actor, trigger."""
    source: str | None = None
    """The branch whose newest commit is desired; None for a commit that was asked for by name."""
    base: State | None = None
    fork: bool = False
    """The branch does not exist yet and begins at `base`, which is another branch's: a proposal."""
    may_go: bool = False
    """People may delete the branch at any time: a proposal's, which is then begun anew."""
    in_place: bool = False
    """The branch is the watched one itself: `base` is somewhere behind its `tip`."""
    tip: str | None = None
    """Where the branch was when `base` was read; None where there is none yet."""
    counts: Callable[[str], bool] | None = None
    """In place: whether a commit of the runner may count, where not all of them do."""
    location: str = ""
    """Where the bytes of results are: the name of a DVC remote, or `this host`."""
    drop: Callable[[], Sequence[str]] = tuple
    """Refs of this runner's own to remove in the same push: its claim, once nothing runs any more."""
    dropped: Callable[[], None] = lambda: None
    """Hears that they are gone."""
    damage: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    """Objects that were found damaged since the last publication, as the record of a reconcile names them."""
    damage_recorded: Callable[[], None] = lambda: None
    """Hears that they are recorded."""
    insists: bool = False
    """Record something even where no stage changes."""
    signer: Signer = field(default_factory=NoSigner)
    tries: int = field(default=_TRIES)
    left: tuple[str, str] = field(default=_KEPT, init=False)
    """What is left of results that cannot be published, and what has them published after all."""

    def publish(self, runs: Sequence[RunFacts]) -> Published:
        """Have these runs, and what stands after them, on the state branch.

        Raises HostError, RaceLost, and Held where somebody took away what was recorded there before.
        """
        self._push_bytes(runs)
        reached("bytes-safe")
        runs = [replace(run, outs=tuple(self._located(out) for out in run.outs)) for run in runs]
        published = self._accepted(lambda: self._compose(runs))
        if published.commit is not None:
            self.damage_recorded()
        return published

    def publish_verification(self, checked: Sequence[Checked]) -> Published:
        """Have what repetitions of recorded runs came to in the ledger; what stands stays as it is.

        Raises HostError, RaceLost, and Held where somebody took away what was recorded there before.
        """
        since = self.base.summary.head.sequence if self.base is not None else 0
        self.left = _NOT_KEPT
        published = self._accepted(lambda: self._composed_verification(checked, since))
        state = published.state
        if state is None:
            raise AssertionError("what was never recorded cannot have been verified")
        number = recorded_verification(state, self.facts["id"], since)
        return replace(published, commit=published.commit or state.commit, verification=number)

    def publish_releases(self, decide: Callable[[State], Sequence[Verdict]], *, late: bool = False) -> Published:
        """Have what is decided on the newest state in the ledger, with the files of what is released.

        It is decided again after a lost race. Where nothing is new, or something newer was recorded meanwhile, there is
        nothing to say; with `late` there is, since it tells of what has happened. Raises HostError, RaceLost, and Held
        as `publish` does.
        """
        self.left = _NOT_RELEASED
        return self._accepted(lambda: self._composed_releases(decide, late))

    def refreshed(self) -> State | None:
        """What is recorded now. Raises HostError and Held."""
        self._refresh()
        return self.base

    def _accepted(self, compose: Callable[[], _Composed]) -> Published:
        try:
            return self._publish(compose)
        finally:
            self.turns.leave()

    def _hint(self, first: str) -> str:
        return "; ".join(filter(None, (first, *self.left)))

    def _publish(self, compose: Callable[[], _Composed]) -> Published:
        """Compose a commit and have it accepted; on a lost race it is composed anew on what is recorded then."""
        since, unheard = self._last_known(), 0
        for attempt in range(self.tries):
            if self.turns.wait(attempt, since, self._expected()):
                self._refresh()
                since = since or self._last_known()
            try:
                composed = compose()
            except HostError as error:
                if type(error) is not HostError:  # what a loss names is asked for by those who know what to do
                    raise
                raise HostError(error.message, self._hint(error.hint)) from error
            if composed.request is None:
                return Published(None, self.base, tuple(composed.batch.dropped), newer=composed.newer)
            reached("composed")
            commit = self.mirror.write_commit(composed.request)
            drop = [*self.drop(), *self.turns.to_drop()]
            result = self.mirror.push(commit, self.branch, self._expected(), drop=drop)
            self.turns.answered(result.status)
            if result.status is PushStatus.ACCEPTED or (result.status is PushStatus.UNKNOWN and self._arrived(commit)):
                reached("acknowledged")
                self.dropped()
                self.base, self.tip, self.fork, self.insists = self.open_state(commit), commit, False, False
                return Published(commit, self.base, tuple(composed.batch.dropped))
            if result.status is PushStatus.REFUSED:
                raise HostError(f"the remote refused {self.branch}: {result.detail}", self._hint(result.hint))
            unheard = unheard + 1 if result.status is PushStatus.UNKNOWN else 0
            if unheard == _UNHEARD:
                text = f"{unheard} pushes to {self.branch} got no answer and did not arrive: {result.detail}"
                raise HostError(text, self._hint("see that the remote works, and what its hooks do"))
        raise RaceLost(
            f"{self.tries} times somebody else was faster on {self.branch}",
            "; ".join(self.left),
        )

    def _expected(self) -> str | None:
        if self.in_place:
            return self.tip
        return self.base.commit if self.base is not None and not self.fork else None

    def _last_known(self) -> str | None:
        """The newest commit of the branch, or of the one it begins at, that this publisher knows."""
        return self.tip or (self.base.commit if self.base is not None else None)

    def _compose(self, runs: Sequence[RunFacts]) -> _Composed:
        base = self.base
        runs = unrecorded(base, runs)
        newer = self._newer()
        late = newer is not None
        before = base.entries() if base else {}
        standing = Standing(dict(before), {}, (), ()) if late else self.standing(base, runs)
        adopted = {key: (hit, self.accepted_run(hit)) for key, hit in standing.adopted.items()}
        batch = begin(base, self.clock(), self.signer)
        append_runs(base, batch, runs, adopted, late=late)
        entries = self._with_git_ids(numbered(standing.entries, batch))
        if not batch.appended and entries == before and not self.insists:
            return _Composed(None, batch, newer)
        aside = self._aside(runs, batch, () if late else entries.values())
        append_reconcile(batch, self._reconcile_facts(standing, before, entries, late), self.desired.commit)
        seal(base, batch)
        write_index(batch)
        write_checkpoint(batch)
        if late:
            return _Composed(self._late_request(base, batch, aside), batch)
        return _Composed(self._request(base, entries, before, batch, aside), batch)

    def _composed_verification(self, checked: Sequence[Checked], since: int) -> _Composed:
        """Only the ledger grows, so that no plan is any other afterwards.

        There is nothing to say where it was recorded after `since` already, without our hearing of it.
        """
        base = self.base
        if base is None:
            raise AssertionError("what was never recorded cannot have been verified")
        batch = begin(base, self.clock(), self.signer)
        if recorded_verification(base, self.facts["id"], since) is not None:
            return _Composed(None, batch)
        facts = {**self.facts, "branch": self.branch, "desired": self.desired.commit, "state": base.commit}
        append_verification(base, batch, facts, checked)
        seal(base, batch)
        write_index(batch)
        write_checkpoint(batch)
        summary = Summary(base.summary.desired, batch.head, base.summary.location)
        differ = sum(row.result == DIFFERS for row in checked)
        what = f"{len(checked)} run{'s' if len(checked) != 1 else ''} repeated, {differ} differ"
        message = self._with_trailers(f"Verify {self.desired.commit[:12]}: {what}{'s' if differ == 1 else ''}")
        return _Composed(self._ledger_request(base, batch, summary, {}, message), batch)

    def _composed_releases(self, decide: Callable[[State], Sequence[Verdict]], late: bool) -> _Composed:
        from runner.core.releases import subject_of  # imported late: few release anything
        from runner.record.releases import append_releases

        base = self.base
        batch = begin(base, self.clock(), self.signer)
        if base is None or (self._newer() is not None and not late):
            return _Composed(None, batch)
        facts = {name: fact for name, fact in self.facts.items() if name != "acceptedState"}
        facts |= {"branch": self.branch, "desired": self.desired.commit, "state": base.commit}
        told = append_releases(base, batch, facts, decide(base))
        if not told:
            return _Composed(None, batch)
        seal(base, batch)
        write_index(batch)
        write_checkpoint(batch)
        summary = Summary(base.summary.desired, batch.head, base.summary.location)
        message = self._with_trailers("; ".join(subject_of(verdict) for verdict in told))
        return _Composed(self._ledger_request(base, batch, summary, {}, message), batch)

    def _request(
        self,
        base: State | None,
        entries: Mapping[Address, Entry],
        before: Mapping[Address, Entry],
        batch: Batch,
        aside: Mapping[str, bytes],
    ) -> CommitRequest:
        files = Files(deletes=self._cleared(entries, before))
        tree_files.dvc_files(self.desired, entries, self.sources, files)
        objects = base.objects() if base else []
        tree_files.runner_files(self.desired, entries, before, self.sources, files, objects, fresh=base is None)
        files.data |= {**batch.files, **aside}
        files.deletes += [*batch.deletes, layout.ASIDE]  # what lay aside before stays in history
        files.data[layout.STATE] = tree_files.state_file(self.desired.commit, batch.head, self.location)
        desired_tree = self.mirror.reader.commit(self.desired.commit).tree
        return CommitRequest(
            parents=self._parents(base),
            base_tree=desired_tree,
            deletes=tuple(files.deletes),
            trees={**_recorded_tree(base), **files.folders},
            files=_contents(files),
            message=self._message(batch, entries),
            author=self.author,
            time_epoch=int(self.clock()),
        )

    def _parents(self, base: State | None) -> tuple[str, ...]:
        if self.in_place:
            return (self.tip or self.desired.commit,)
        return (base.commit, self.desired.commit) if base else (self.desired.commit,)

    def _cleared(self, entries: Mapping[Address, Entry], before: Mapping[Address, Entry]) -> list[str]:
        """What of the desired commit's tree a state commit does not take over.

        Pipelines are rendered anew, so that none is left behind. On a branch of the runner's own there are no
        workflows, which a token of CI may not push. On the watched branch, people's commits hold what was recorded.
        """
        if not self.in_place:
            return [".github", layout.PIPELINES]
        rendered = layout.PIPELINES if self.desired.dvc_root == "." else f"{self.desired.dvc_root}/{layout.PIPELINES}"
        own = [] if self.base is not None else [layout.ROOT]
        return [*own, rendered, *self._left_behind(entries, before)]

    def _left_behind(self, entries: Mapping[Address, Entry], before: Mapping[Address, Entry]) -> list[str]:
        """Uncached outputs that no stage makes any more, as far as nobody changed them since."""
        made = {out.path for entry in entries.values() for out in entry.outs}
        old = [out for entry in before.values() for out in entry.outs if not out.cached and out.path not in made]
        return [out.path for out in old if out.git_id is not None and self._desired_id(out) == out.git_id]

    def _late_request(self, base: State | None, batch: Batch, aside: Mapping[str, bytes]) -> CommitRequest:
        """Results for an older commit enter as records only; everything else stays as it is."""
        desired = base.summary.desired if base else self.desired.commit
        summary = Summary(desired, batch.head, self.location)
        return self._ledger_request(base, batch, summary, aside, self._message(batch, {}))

    def _ledger_request(
        self, base: State | None, batch: Batch, summary: Summary, aside: Mapping[str, bytes], message: str
    ) -> CommitRequest:
        """A commit that appends to the ledger and leaves what stands as it is."""
        parent = (self.tip if self.in_place else base and base.commit) or self.desired.commit
        return CommitRequest(
            parents=(parent,),
            base_tree=self.mirror.reader.commit(parent).tree,
            trees=_recorded_tree(base),
            files=_contents(Files(data={**batch.files, **aside, layout.STATE: summary.as_bytes()})),
            deletes=(*batch.deletes, layout.ASIDE),
            message=message,
            author=self.author,
            time_epoch=int(self.clock()),
        )

    def _reconcile_facts(
        self, standing: Standing, before: Mapping[Address, Entry], entries: Mapping[Address, Entry], late: bool
    ) -> dict[str, Any]:
        changed = [
            {"stage": str(address), "key": entry.key, "record": entry.record, "provenance": entry.provenance}
            | ({"forms": entry.as_json()["forms"]} if entry.forms else {})
            for address, entry in sorted(entries.items())
            if before.get(address) != entry
        ]
        actions: dict[str, int] = {}
        for step in standing.steps:
            actions[step.action.value] = actions.get(step.action.value, 0) + 1
        damage = list(self.damage())
        return {
            **self.facts,
            **({"damaged": damage} if damage else {}),
            "branch": self.branch,
            "location": self.location,
            "desired": self.desired.commit,
            "state": self.base.commit if self.base else None,
            "late": late,
            "rendering": layout.RENDER_VERSION,
            "standing": [] if late else changed,
            "removed": [str(address) for address in standing.removed],
            "open": actions.get(Action.RUN.value, 0) + actions.get(Action.WAIT.value, 0),
        }

    def _message(self, batch: Batch, entries: Mapping[Address, Entry]) -> str:
        count, standing = len(batch.appended), len(entries)
        what = f"{count} run{'s' if count != 1 else ''}" if count else "no run"
        stand = "1 stage stands" if standing == 1 else f"{standing} stages stand"
        return self._with_trailers(f"Reconcile {self.desired.commit[:12]}: {what}, {stand}")

    def _with_trailers(self, subject: str) -> str:
        desired = f"{in_place.TRAILER if self.in_place else 'Desired'}: {self.desired.commit}"
        return f"{subject}\n\nReconcile-Id: {self.facts['id']}\n{desired}\n"

    def _with_git_ids(self, entries: Mapping[Address, Entry]) -> dict[Address, Entry]:
        """Uncached outputs get the id of their bytes in git, so that later states and hosts find them there."""
        return {address: self._entry_with_git_ids(entry) for address, entry in entries.items()}

    def _entry_with_git_ids(self, entry: Entry) -> Entry:
        if all(out.cached or out.git_id for out in entry.outs):
            return entry
        located = (self._located(out) for out in entry.outs)
        # Of evidence the bytes may be where whoever ran the stage committed them, and nowhere else.
        outs = (out if out.cached or out.git_id else replace(out, git_id=self._desired_id(out)) for out in located)
        return replace(entry, outs=tuple(outs))

    def _located(self, out: OutFact) -> OutFact:
        """An uncached output with the id of its bytes in git, where this host has them."""
        data = None if out.cached or out.git_id else self.sources.object_bytes(out.md5)
        if data is None:
            return out
        digits = len(self.desired.commit)
        if not out.md5.endswith(".dir"):
            return replace(out, git_id=blob_id(data, digits))
        members = [(name, self.sources.object_bytes(md5)) for name, md5 in parse_listing(data)]
        ids = [(name, blob_id(member, digits)) for name, member in members if member is not None]
        return replace(out, git_id=folder_id(ids, digits)) if len(ids) == len(members) else out

    def _desired_id(self, out: OutFact) -> str | None:
        return self.sources.desired_id(out.path, out.md5.endswith(".dir"))

    def _aside(self, runs: Sequence[RunFacts], batch: Batch, standing: Iterable[Entry]) -> dict[str, bytes]:
        """Uncached outputs of recorded runs that do not stand now: they may be asked for again, by any host."""
        dropped = {row["runId"] for row in batch.dropped}
        keys = {entry.key for entry in standing}
        found: dict[str, bytes] = {}
        for run in runs:
            if run.succeeded and run.run_id not in dropped and run.key not in keys:
                for out in run.outs:
                    if not out.cached:
                        found |= tree_files.uncached_files(out, f"{layout.ASIDE}/{run.run_id}/{out.path}", self.sources)
        return found

    def _push_bytes(self, runs: Sequence[RunFacts]) -> None:
        wanted = [(fact.md5, fact.remote) for run in runs for fact in run.outs if fact.cached and fact.push]
        wanted += self._standing_bytes()
        if wanted:
            self.push_bytes(wanted)

    def _standing_bytes(self) -> list[tuple[str, str | None]]:
        """What stood before, where results have a new place: it goes there too, as far as this host has it."""
        if self.base is None or not self.insists:
            return []
        facts = [out for entry in self.base.entries().values() for out in entry.outs]
        meant = [out for out in facts if out.cached and out.push and not out.legacy]
        return [(out.md5, out.remote) for out in meant if self.sources.has_object(out.md5)]

    def _newer(self) -> str | None:
        """What is recorded, or asked for where the results would go, if it is newer than this desired commit."""
        reader = self.mirror.reader
        if self.in_place:
            asked_for = None if self.tip is None else in_place.desired_at(reader, self.tip)
            return None if asked_for == self.desired.commit else asked_for
        if self.base is None:
            return None
        recorded = self.base.summary.desired
        if recorded == self.desired.commit:
            return None
        if self.source is not None and reader.ref(f"refs/heads/{self.source}") == self.desired.commit:
            return None  # the branch itself went back
        is_newer = reader.exists(recorded) and reader.is_ancestor(self.desired.commit, recorded)
        return recorded if is_newer else None

    def _arrived(self, commit: str) -> bool:
        """After a lost acknowledgement: whether the remote's branch holds our commit."""
        self.mirror.fetch()
        tip = self.mirror.reader.ref(f"refs/heads/{self.branch}")
        return tip is not None and self.mirror.reader.is_ancestor(commit, tip)

    def _refresh(self) -> None:
        """Fetch, and go on from what is recorded now."""
        self.mirror.fetch()
        self.tip = tip = self.mirror.tip(self.branch)
        state = tip
        if self.in_place and tip is not None:
            state = in_place.newest_state(self.mirror.reader, [tip], self.counts)
        if tip is None and self.may_go:
            self.fork = self.base is not None
            return
        if self.in_place and tip is None:
            raise HostError(f"{self.branch} is gone from the remote", self.left[0])
        self._check_not_rewritten(state)
        if state is not None:
            self.base, self.fork = self.open_state(state), False

    def _check_not_rewritten(self, state: str | None) -> None:
        """Hold where the branch does not hold any more what it held when this began."""
        if self.base is None or self.fork:
            return
        if state is None or not self.mirror.reader.is_ancestor(self.base.commit, state):
            raise Held(
                f"{self.branch} was rewritten meanwhile: {self.base.commit[:12]} is not part of it any more",
                f"{self.left[0]}; `runner reconcile` says how to go on",
            )


def _recorded_tree(base: State | None) -> dict[str, str]:
    return {layout.ROOT: base.root_tree} if base else {}


@dataclass(frozen=True, slots=True)
class _Composed:
    request: CommitRequest | None
    """None where there is nothing to say."""
    batch: Batch
    newer: str | None = None
    """As in `Published`."""


def _contents(files: Files) -> dict[str, FileContent]:
    def mode(path: str) -> str:
        return "100755" if path in files.executable else "100644"

    known = {path: FileContent(mode(path), None, oid) for path, oid in files.blobs.items()}
    return known | {path: FileContent(mode(path), data, None) for path, data in sorted(files.data.items())}
