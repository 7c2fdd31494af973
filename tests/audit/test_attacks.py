"""A sample of what can be done to a ledger: each is found, by both verifiers. `make audit-torture` does all of it."""

from __future__ import annotations

import random

import pytest

from runner.audit.findings import Breach
from runner.audit.trust import Trust
from runner.audit.verify import judge
from runner.core.checkpoint import parse_checkpoint
from runner.ledger import layout
from tests.audit.ledgers import (
    KEY,
    OTHER,
    TRUST,
    UNSIGNED,
    audit,
    examiner,
    ledger_of,
    run_of,
    second_opinion,
    story,
)
from tests.audit.mutations import attacks, bit_flips, chained, ended, flipped, other_bit_flips, records_of

SEALED = {"kept": 10, "segment": 5}


@pytest.mark.parametrize("more", [{}, SEALED], ids=["files", "sealed"])
def test_deletions_insertions_swaps_replays_forks_and_returns_are_found(more: dict[str, int]) -> None:
    good, looking = story(20, seed=1, **more), examiner()
    missed = [
        (name, whose)
        for name, snapshots in attacks(good, random.Random(7))
        for whose, found in (
            ("ours", judge(ledger_of(snapshots), looking).found),
            ("theirs", second_opinion(snapshots)),
        )
        if not found
    ]
    assert missed == []


@pytest.mark.parametrize("more", [{}, SEALED], ids=["files", "sealed"])
def test_turned_bits_of_records_are_found(more: dict[str, int]) -> None:
    good, looking = story(20, seed=2, **more), examiner()
    flips = list(bit_flips(good, random.Random(8), 120))
    assert [name for name, snapshots in flips if not judge(ledger_of(snapshots), looking).found] == []
    assert [name for name, snapshots in flips[:60] if not second_opinion(snapshots)] == []


def test_turned_bits_of_everything_else_below_the_folder_are_found() -> None:
    good, looking = story(20, seed=3, **SEALED), examiner()
    flips = other_bit_flips(good, random.Random(9), 300)
    assert [name for name, snapshots in flips if not judge(ledger_of(snapshots), looking).found] == []


def test_two_hundred_good_ledgers_raise_no_alarm() -> None:
    chance = random.Random(10)
    for seed in range(200):
        more = SEALED if seed % 2 else {}
        good = story(chance.randint(1, 30), seed=seed, **more)
        report = audit(good.snapshots)
        assert report.found == (), seed
        assert report.chain.signed == len(report.chain.data)
        if seed % 10 == 0:
            assert second_opinion(good.snapshots) == [], seed


def test_a_ledger_without_signatures_is_whole_and_says_so_unless_somebody_is_trusted() -> None:
    good = story(10, signer=UNSIGNED)
    assert audit(good.snapshots, examiner(None)).found == ()
    assert audit(good.snapshots, examiner(None)).chain.signed == 0
    report = audit(good.snapshots)
    assert {one.breach for one in report.found} == {Breach.SIGNATURE}
    assert len([one for one in report.found if one.place.startswith("record")]) == 10


def test_records_before_the_first_key_need_no_signature() -> None:
    good = story(8, signer=UNSIGNED)
    good.signer = KEY
    good.commit([run_of(900)])
    assert audit(good.snapshots, examiner(Trust((KEY.trusted(),), unsigned_to=8))).found == ()
    assert audit(good.snapshots, examiner(Trust((KEY.trusted(),), unsigned_to=7))).exit_code == 11


def test_a_key_is_valid_for_the_records_that_the_trust_file_says() -> None:
    good = story(6)
    good.signer = OTHER
    good.commit([run_of(900)])
    both = Trust((KEY.trusted(last=6), OTHER.trusted(first=7)))
    assert audit(good.snapshots, examiner(both)).found == ()
    early = Trust((KEY.trusted(last=5), OTHER.trusted(first=7)))
    assert [one.place for one in audit(good.snapshots, examiner(early)).found if "record" in one.place] == ["record 6"]
    assert audit(good.snapshots, examiner(early)).exit_code == 14


def test_a_key_for_proposals_may_not_sign_for_the_watched_branch() -> None:
    trust = Trust((KEY.trusted(roles=("proposals",)),))
    assert audit(story(6).snapshots, examiner(trust)).exit_code == 14
    proposal = story(6, trust="proposed")
    found = audit(proposal.snapshots, examiner(TRUST)).found
    assert {one.breach for one in found} == {Breach.POLICY}  # a proposal's reconciles on a ledger that is none


def test_an_approval_needs_an_approver() -> None:
    """Only the role decides: the runner's key cannot approve, whatever else it may sign."""
    from runner.core.predicates import BY_TYPE

    kind = BY_TYPE["https://gitops-runner.dev/predicates/approval/v1"]
    assert kind.roles({"approval": {}}) == ("approver",)


def test_a_cut_end_is_found_by_who_kept_a_checkpoint() -> None:
    good = story(20)
    pinned = parse_checkpoint(good.tip[layout.CHECKPOINT])
    assert audit(good.snapshots, pinned=pinned).found == ()
    rewound = audit(good.snapshots[:-1], pinned=pinned)
    assert audit(good.snapshots[:-1]).found == ()  # nobody else can tell
    assert rewound.exit_code == 12
    older = parse_checkpoint(good.snapshots[1][layout.CHECKPOINT])
    assert audit(good.snapshots, pinned=older).found == ()


def test_a_fork_by_the_key_itself_is_found_by_who_kept_a_checkpoint() -> None:
    good = story(20)
    pinned = parse_checkpoint(good.tip[layout.CHECKPOINT])

    def other(own: dict[str, object]) -> None:
        stated = own.get("run") or own["reconcile"]
        assert isinstance(stated, dict)
        stated["actor"] = "mallory"

    fork = ended(good.tip, chained(records_of(good.tip), 5, KEY, other), KEY)
    report = audit([fork], pinned=pinned)
    assert report.exit_code == 12
    assert any(one.place == "the pinned checkpoint" for one in report.found)


def test_a_pinned_checkpoint_that_nobody_signed_or_of_another_ledger_is_not_believed() -> None:
    good = story(20)
    pinned = parse_checkpoint(good.snapshots[2][layout.CHECKPOINT])
    assert audit(good.snapshots, pinned=pinned.signed()).exit_code == 11
    assert audit(good.snapshots, pinned=parse_checkpoint(story(8, seed=4).tip[layout.CHECKPOINT])).exit_code == 12


def test_what_stands_has_to_be_what_the_reconciles_said() -> None:
    good = story(20)
    path = next(path for path in good.tip if path.startswith(layout.RECORDED))
    without = {name: data for name, data in good.tip.items() if name != path}
    assert audit([*good.snapshots[:-1], without]).exit_code == 13
    other = next(name for name in good.tip if name.startswith(layout.RECORDED) and name != path)
    exchanged = {**good.tip, path: good.tip[other]}
    assert audit([*good.snapshots[:-1], exchanged]).exit_code == 13


def test_a_segment_differs_by_one_bit_in_an_old_commit() -> None:
    good = story(30, **SEALED)
    at = next(n for n, files in enumerate(good.snapshots) if any(layout.SEALED in path for path in files))
    path = next(path for path in good.snapshots[at] if path.startswith(layout.SEALED))
    broken = {**good.snapshots[at], path: flipped(good.snapshots[at][path], 1000)}
    snapshots = [*good.snapshots[:at], broken, *good.snapshots[at + 1 :]]
    assert audit(snapshots).exit_code == 12
    assert second_opinion(snapshots)
