"""All of it: every attack on a 20-record ledger, every turned bit of its records, ten thousand good ledgers.

Takes half an hour; `make audit-torture` runs it. SEED chooses the ledgers; a failure names what to ask for again.
"""

from __future__ import annotations

import os
import random

import pytest

from runner.audit.chain import Examiner, check_chain
from runner.audit.findings import exit_code
from runner.audit.tip import records_in
from runner.audit.verify import judge
from runner.ledger import layout
from tests.audit.ledgers import TRUST, audit, examiner, independent, ledger_of, second_code, second_opinion, story
from tests.audit.mutations import attacks, flipped, is_found_alike, records_of

SEED = int(os.environ.get("SEED", "1"))
SEALED = {"kept": 10, "segment": 5}
PARTS = 8


@pytest.mark.parametrize("more", [{}, SEALED], ids=["files", "sealed"])
def test_every_attack_is_found_by_both(more: dict[str, int]) -> None:
    good, looking = story(20, seed=SEED, **more), examiner()
    missed, count = [], 0
    for name, snapshots in attacks(good, None):
        count += 1
        ends = judge(ledger_of(snapshots), looking).exit_code, second_code(snapshots)
        if not ends[0] or ends[0] != ends[1]:
            missed.append((name, ends))
    assert missed == []
    assert count > 4_000


@pytest.mark.parametrize("part", range(PARTS))
def test_every_turned_bit_of_every_record_is_found_by_both(part: int) -> None:
    good = story(20, seed=SEED)
    records, read_record, count = records_of(good.tip), independent().read_record, 0
    state = {path: data for path, data in good.tip.items() if not path.startswith(layout.RECORDS)}
    looking = examiner()
    check_chain(records, looking)
    for number in range(part, len(records), PARTS):
        for bit in range(len(records[number]) * 8):
            # What stands before it is as it was, and was looked at once; a record that is wrong ends the look.
            changed = flipped(records[number], bit)
            again = Examiner(looking.check, looking.verifies, TRUST, dict(looking._known), looking._signed)
            rows = [*records[:number], changed, *records[number + 1 :]]
            ours = exit_code(check_chain(rows, again).found)
            try:
                read_record(changed)
                theirs = second_code([state | {layout.record_path(at): data for at, data in enumerate(rows, 1)}])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                theirs = 10  # where bytes are no record, nothing else is looked at
            assert is_found_alike(ours, theirs), (number, bit)
            count += 1
    assert count > 10_000


@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_good_ledgers_raise_no_alarm(part: int) -> None:
    chance = random.Random(SEED * 1000 + part)
    for number in range(10_000 // PARTS):
        seed = chance.randrange(1 << 30)
        good = story(chance.randint(1, 30), seed=seed, **(SEALED if number % 2 else {}))
        assert audit(good.snapshots).found == (), seed
        assert number % 10 or second_opinion(good.snapshots) == [], seed
        assert len(records_in(good.tip)[0]) == len(records_of(good.tip))
