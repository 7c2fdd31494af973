"""A sample of what can be done to a ledger: each is found, by both verifiers. `make audit-torture` does all of it."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.audit.findings import Breach
from runner.audit.trust import Trust
from runner.audit.verify import judge
from runner.core.checkpoint import NoteSignature, key_hash, parse_checkpoint
from runner.ledger import layout
from runner.ledger.state import pretty_bytes
from tests.audit.ledgers import (
    KEY,
    OTHER,
    TRUST,
    UNSIGNED,
    Snapshot,
    Story,
    audit,
    audit_since,
    examiner,
    ledger_of,
    run_of,
    second_code,
    second_opinion,
    story,
)
from tests.audit.mutations import (
    attacks,
    beside,
    bit_flips,
    chained,
    ended,
    flipped,
    is_found_alike,
    other_bit_flips,
    own_of,
    records_of,
    typed,
)

SEALED = {"kept": 10, "segment": 5}
Edit = Callable[[dict[str, Any]], Any]
"""Changes the part of a record that is the runner's own."""


def both(snapshots: Sequence[Snapshot], trust: Trust | None = TRUST, *, pinned: bytes | None = None) -> set[int]:
    """The exit codes of both verifiers; one where they agree."""
    ours = audit(snapshots, examiner(trust), pinned=None if pinned is None else parse_checkpoint(pinned))
    return {ours.exit_code, second_code(snapshots, trust, pinned=pinned)}


@pytest.mark.parametrize("more", [{}, SEALED], ids=["files", "sealed"])
def test_deletions_insertions_swaps_replays_forks_and_returns_are_found_alike(more: dict[str, int]) -> None:
    good, looking = story(20, seed=1, **more), examiner()
    ends = [
        (name, judge(ledger_of(snapshots), looking).exit_code, second_code(snapshots))
        for name, snapshots in attacks(good, random.Random(7))
    ]
    assert [end for end in ends if end[1] == 0 or end[1] != end[2]] == []


@pytest.mark.parametrize("more", [{}, SEALED], ids=["files", "sealed"])
def test_turned_bits_of_records_are_found_alike(more: dict[str, int]) -> None:
    good, looking = story(20, seed=2, **more), examiner()
    flips = list(bit_flips(good, random.Random(8), 120))
    ends = [(name, judge(ledger_of(snapshots), looking).exit_code, second_code(snapshots)) for name, snapshots in flips]
    assert [end for end in ends if not is_found_alike(*end[1:])] == []


@pytest.mark.parametrize("more", [{}, SEALED], ids=["files", "sealed"])
def test_from_a_pinned_checkpoint_on_all_that_came_later_is_found(more: dict[str, int]) -> None:
    good, looking = story(20, seed=1, **more), examiner()
    for place in range(len(good.snapshots)):
        pinned = parse_checkpoint(good.snapshots[place][layout.CHECKPOINT])
        report = audit_since(good.snapshots, pinned, looking)
        assert report is not None
        assert (report.found, report.hashed) == ((), pinned.size - 1)
    place = len(good.snapshots) // 2
    pinned = parse_checkpoint(good.snapshots[place][layout.CHECKPOINT])
    damaged = [*attacks(good, random.Random(7)), *bit_flips(good, random.Random(8), 120)]
    damaged += other_bit_flips(good, random.Random(9), 150)
    later = [(name, files) for name, files in damaged if files[: place + 1] == good.snapshots[: place + 1]]
    assert len(later) > 50
    missed = [name for name, files in later if (told := audit_since(files, pinned, looking)) and not told.found]
    assert missed == []


def test_records_that_a_pinned_checkpoint_holds_are_held_against_its_root() -> None:
    good = story(20, seed=1)
    pinned = parse_checkpoint(good.snapshots[-2][layout.CHECKPOINT])
    for number in range(1, pinned.size + 1):
        data = good.tip[layout.record_path(number)]
        changed = {**good.tip, layout.record_path(number): flipped(data, 8 * 20)}
        assert audit_since([*good.snapshots[:-1], changed], pinned) is None  # so everything is looked at


def test_turned_bits_of_everything_else_below_the_folder_are_found_alike() -> None:
    good, looking = story(20, seed=3, **SEALED), examiner()
    flips = other_bit_flips(good, random.Random(9), 300)
    ends = [(name, judge(ledger_of(snapshots), looking).exit_code, second_code(snapshots)) for name, snapshots in flips]
    assert [end for end in ends if end[1] == 0 or end[1] != end[2]] == []


@pytest.mark.parametrize("more", [{}, SEALED], ids=["files", "sealed"])
def test_what_is_done_to_the_files_beside_the_records_is_found_alike(more: dict[str, int]) -> None:
    good, looking = story(30, seed=4, **more), examiner()
    count = 0
    for name, tip in beside(good.tip):
        count += 1
        snapshots = [*good.snapshots[:-1], tip]
        ours, theirs = judge(ledger_of(snapshots), looking).exit_code, second_code(snapshots)
        assert ours == theirs != 0, name
    assert count > 40


def test_an_object_under_its_own_name_is_none_of_the_findings() -> None:
    good = story(6)
    data = b"small"
    kept = {**good.tip, f"{layout.OBJECTS}/{hashlib.md5(data).hexdigest()}": data}
    assert both([*good.snapshots[:-1], kept]) == {0}
    assert both([*good.snapshots[:-1], {**kept, f"{layout.OBJECTS}/{'0' * 32}.dir": data}]) == {13}


@pytest.mark.parametrize("kind", ["run", "reconcile"])
def test_a_statement_without_a_field_is_found_alike(kind: str) -> None:
    good = story(6)
    records = records_of(good.tip)
    number, own = next((number, own) for number, data in enumerate(records, 1) if kind in (own := own_of(data)))
    edits: dict[str, Edit] = {f"without {name}": _lost(name) for name in own[kind]}
    edits |= {f"without its {name}": _without(name) for name in own if name not in ("sequence", "previous", kind)}
    edits |= {"with more": lambda own: own.update(more=1), "of another version": lambda own: own.update(schema=2)}
    assert len(edits) > 20
    for name, edit in edits.items():
        tip = ended(good.tip, chained(records, number, KEY, edit), KEY)
        assert both([tip]) == {10}, name


def test_a_statement_of_an_unknown_kind_is_found_alike() -> None:
    good = story(6)
    tip = ended(good.tip, typed(records_of(good.tip), "https://example.com/other/v1"), KEY)
    assert both([tip]) == {10}


def test_what_the_second_verifier_leaves_to_the_first_is_no_more_than_it_says() -> None:
    """Its first lines name it: values and inner fields that it does not need, and what follows from a run."""
    good = story(6)
    records = records_of(good.tip)
    number = next(number for number, data in enumerate(records, 1) if "run" in own_of(data))

    def inner(own: dict[str, Any]) -> None:
        own["run"]["usage"]["more"] = 1

    def another(own: dict[str, Any]) -> None:
        own["run"]["actor"] = 5

    def path(own: dict[str, Any]) -> None:
        own["run"]["outs"] = [{"path": "else", "md5": "0" * 32}]

    for edit in (inner, another, path):
        tip = ended(good.tip, chained(records, number, KEY, edit), KEY)
        assert audit([tip]).exit_code == 10
        assert second_code([tip]) in (0, 12, 13)  # where something else hangs on it, it is found there


@pytest.mark.parametrize("value", [5, [5], [{"stage": 1}]], ids=["a number", "numbers", "rows of others"])
def test_what_makes_no_sense_is_found_alike_though_it_is_well_signed(value: object) -> None:
    good = story(6)
    records = records_of(good.tip)
    number = max(number for number, data in enumerate(records, 1) if "reconcile" in own_of(data))
    forged = chained(records, number, KEY, lambda own: own["reconcile"].update(standing=value))
    assert both([ended(good.tip, forged, KEY)]) == {10}


def test_the_second_verifier_is_short_and_has_nothing_of_the_runner() -> None:
    folder = Path(__file__).parents[2] / "examples" / "verify"
    texts = {path.name: path.read_text() for path in folder.glob("*.py")}
    assert max(len(text.splitlines()) for text in texts.values()) <= 180
    named = {word for text in texts.values() for word in re.findall(r"^ *(?:from|import) (\w+)", text, re.M)}
    others = named - sys.stdlib_module_names - {name.removesuffix(".py") for name in texts}
    assert others == {"cryptography"}


def test_two_hundred_good_ledgers_raise_no_alarm() -> None:
    chance = random.Random(10)
    for seed in range(200):
        more = SEALED if seed % 2 else {}
        good = story(chance.randint(1, 30), seed=seed, **more)
        report = audit(good.snapshots)
        assert report.found == (), seed
        assert report.chain.signed == len(report.chain.data)
        if seed % 4 == 0:
            assert second_opinion(good.snapshots) == [], seed


def test_a_ledger_without_signatures_is_whole_and_says_so_unless_somebody_is_trusted() -> None:
    good = story(10, signer=UNSIGNED)
    assert both(good.snapshots, None) == {0}
    assert audit(good.snapshots, examiner(None)).chain.signed == 0
    assert both(good.snapshots) == {11}
    report = audit(good.snapshots)
    assert {one.breach for one in report.found} == {Breach.SIGNATURE}
    assert len([one for one in report.found if one.place.startswith("record")]) == 10


def test_records_before_the_first_key_need_no_signature() -> None:
    good = story(8, signer=UNSIGNED)
    good.signer = KEY
    good.commit([run_of(900)])
    assert both(good.snapshots, Trust((KEY.trusted(),), unsigned_to=8)) == {0}
    assert both(good.snapshots, Trust((KEY.trusted(),), unsigned_to=7)) == {11}


def test_a_key_is_valid_for_the_records_that_the_trust_file_says() -> None:
    good = story(6)
    good.signer = OTHER
    good.commit([run_of(900)])
    two = Trust((KEY.trusted(last=6), OTHER.trusted(first=7)))
    assert both(good.snapshots, two) == {0}
    early = Trust((KEY.trusted(last=5), OTHER.trusted(first=7)))
    assert [one.place for one in audit(good.snapshots, examiner(early)).found if "record" in one.place] == ["record 6"]
    assert both(good.snapshots, early) == {14}


def test_a_key_for_proposals_may_not_sign_for_the_watched_branch() -> None:
    trust = Trust((KEY.trusted(roles=("proposals",)),))
    assert both(story(6).snapshots, trust) == {14}
    proposal = story(6, trust="proposed")
    found = audit(proposal.snapshots, examiner(TRUST)).found
    assert both(proposal.snapshots) == {14}
    assert {one.breach for one in found} == {Breach.POLICY}  # a proposal's reconciles on a ledger that is none


def test_a_cut_end_is_found_by_who_kept_a_checkpoint() -> None:
    good = story(20)
    pinned = good.tip[layout.CHECKPOINT]
    assert both(good.snapshots, pinned=pinned) == {0}
    assert both(good.snapshots[:-1]) == {0}  # nobody else can tell
    assert both(good.snapshots[:-1], pinned=pinned) == {12}
    assert both(good.snapshots, pinned=good.snapshots[1][layout.CHECKPOINT]) == {0}


def test_a_fork_by_the_key_itself_is_found_by_who_kept_a_checkpoint() -> None:
    good = story(20)
    pinned = parse_checkpoint(good.tip[layout.CHECKPOINT])

    def other(own: dict[str, object]) -> None:
        stated = own.get("run") or own.get("reconcile") or own["verification"]
        assert isinstance(stated, dict)
        stated["actor"] = "mallory"

    fork = ended(good.tip, chained(records_of(good.tip), 5, KEY, other), KEY)
    report = audit([fork], pinned=pinned)
    assert report.exit_code == 12
    assert any(one.place == "the pinned checkpoint" for one in report.found)


def test_a_pinned_checkpoint_that_nobody_signed_or_of_another_ledger_is_not_believed() -> None:
    good = story(20)
    pinned = parse_checkpoint(good.snapshots[2][layout.CHECKPOINT])
    assert both(good.snapshots, pinned=pinned.signed().as_bytes()) == {11}
    assert both(good.snapshots, pinned=story(8, seed=4).tip[layout.CHECKPOINT]) == {12}


def test_a_wrong_signature_beside_a_good_one_is_found_alike() -> None:
    good, two = story(6), Trust((KEY.trusted(), OTHER.trusted()))
    checkpoint = parse_checkpoint(good.tip[layout.CHECKPOINT])
    wrong = NoteSignature(key_hash(OTHER.public_key), b"x" * 64)
    spoilt = {**good.tip, layout.CHECKPOINT: checkpoint.signed(*checkpoint.signatures, wrong).as_bytes()}
    assert both([*good.snapshots[:-1], spoilt], two) == {11}
    assert both([*good.snapshots[:-1], spoilt]) == {0}  # of a key that nobody asked about


def test_what_stands_has_to_be_what_the_reconciles_said() -> None:
    good = story(20)
    path = next(path for path in good.tip if path.startswith(layout.RECORDED))
    without = {name: data for name, data in good.tip.items() if name != path}
    assert both([*good.snapshots[:-1], without]) == {13}
    other = next(name for name in good.tip if name.startswith(layout.RECORDED) and name != path)
    exchanged = {**good.tip, path: good.tip[other]}
    assert both([*good.snapshots[:-1], exchanged]) == {13}


def _lost(name: str) -> Edit:
    """Take a field out of what a record states; nothing where it has none of the name."""
    return lambda own: (own.get("run") or own.get("reconcile") or own["verification"]).pop(name, None)


def _without(name: str) -> Edit:
    """Take a field out of what every record has."""
    return lambda own: own.pop(name)


def _of_no_shape(own: dict[str, Any]) -> None:
    own[next(name for name in ("run", "reconcile", "verification") if name in own)] = "x"


@pytest.mark.parametrize("edit", [*map(_lost, ("location", "desired", "late", "trust", "standing")), _of_no_shape])
def test_a_record_that_lacks_what_is_looked_at_is_a_finding_and_no_traceback(
    edit: Edit,
) -> None:
    good = story(6)
    for signer in (KEY, OTHER):
        tip = ended(good.tip, chained(records_of(good.tip), 6, signer, edit), KEY)
        for trust in (TRUST, None):
            assert audit([*good.snapshots[:-1], tip], examiner(trust)).exit_code == 10


def test_what_runs_took_has_to_be_what_their_records_say() -> None:
    good = Story()
    for number in range(1, 8):
        good.commit([run_of(number, stage="s", seconds=number / 2)])
    [path] = [path for path in good.tip if path.startswith(layout.RECORDED)]
    entry = json.loads(good.tip[path])
    assert [row[:2] for row in entry["times"]] == [[13, 3.5], [11, 3.0], [9, 2.5], [7, 2.0], [5, 1.5]]
    rows = entry["times"]
    for times, code in (
        (rows, 0),
        (None, 0),  # as older runners leave it
        ([], 13),
        ([[13, 3.6, rows[0][2]], *rows[1:]], 13),
        ([rows[0], [11, 3.0, "Linux x86_64 64"]], 13),
        ([[12, 3.5, rows[0][2]]], 13),  # of no run
        ([[99, 3.5, rows[0][2]]], 13),
        ([[13, 3.5]], 13),
        (7, 13),
    ):
        without = {name: value for name, value in entry.items() if name != "times"}
        edited = pretty_bytes(without if times is None else {**entry, "times": times})
        assert both([*good.snapshots[:-1], {**good.tip, path: edited}]) == {code}, times


def test_the_index_of_verifications_has_to_be_what_the_records_say() -> None:
    good = story(12)
    first, second = good.recorded_runs()[:2]
    good.verify([first, second], [second])
    assert audit(good.snapshots).found == ()
    paths = [path for path in good.tip if path.startswith(layout.VERIFIED)]
    for path in paths:
        without = {name: data for name, data in good.tip.items() if name != path}
        assert both([*good.snapshots[:-1], without]) == {13}
    key = "ff" + "0" * 62
    more = {**good.tip, layout.verified_path(key): f"{key} 1 1\n".encode()}
    assert both([*good.snapshots[:-1], more]) == {13}
    for number in range(first, first + 3):
        assert audit(good.snapshots).found == (), number
        good.verify([first])  # a ledger may end with any number of them
    assert both(good.snapshots) == {0}


def test_a_verification_of_another_key_than_its_record_is_found() -> None:
    good = story(12)
    first, second = good.recorded_runs()[:2]
    good.verify([first])

    def other(own: dict[str, Any]) -> None:
        own["verification"]["runs"][0]["record"] = second

    records = records_of(good.tip)
    forged = ended(good.tip, chained(records, len(records), KEY, other), KEY)
    assert both([*good.snapshots[:-1], forged]) == {10}
    report = audit([*good.snapshots[:-1], forged])
    assert [one.message for one in report.found] == [f"verifies record {second}, of another key"]


def test_a_key_for_proposals_may_not_sign_a_verification() -> None:
    good = story(6)
    good.signer = OTHER
    good.verify(good.recorded_runs()[:1])
    trust = Trust((KEY.trusted(), OTHER.trusted(roles=("proposals",))))
    assert both(good.snapshots, trust) == {14}


def test_a_segment_differs_by_one_bit_in_an_old_commit() -> None:
    good = story(30, **SEALED)
    at = next(n for n, files in enumerate(good.snapshots) if any(layout.SEALED in path for path in files))
    path = next(path for path in good.snapshots[at] if path.startswith(layout.SEALED))
    broken = {**good.snapshots[at], path: flipped(good.snapshots[at][path], 1000)}
    snapshots = [*good.snapshots[:at], broken, *good.snapshots[at + 1 :]]
    assert both(snapshots) == {12}
