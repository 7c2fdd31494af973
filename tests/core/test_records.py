"""Records: the chain, the canonical form, and the round trip of a run."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from runner.core.nouns import Address
from runner.core.predicates import EXTENSION, RUN
from runner.core.provenance import slsa
from runner.core.recorded import OutFact
from runner.core.records import BadRecord, Head, RunFacts, Stamp, append, chain_fields, parse_record, run_subjects

FACTS = RunFacts(
    run_id="r1",
    address=Address("dvc.yaml", "train@ä"),
    key="a" * 64,
    material={"cmd": "x", "dep": {"a": "0" * 32}},
    succeeded=True,
    reason="ok",
    message="",
    desired="c" * 40,
    started_at="2026-01-01T00:00:00.000+00:00",
    seconds=1.5,
    outs=(OutFact("model", "1" * 32, 10), OutFact("parts", "2" * 32 + ".dir", 20, 2, cached=False)),
    metrics={"metrics.json": {"auc": 0.9}},
)


def _record(head: Head = Head()) -> tuple[Head, bytes]:  # noqa: B008 - an immutable value
    own = {**chain_fields(head, Stamp("0.1.0", "2026-01-01T00:00:02.000Z")), "run": FACTS.as_json()}
    return append(head, RUN, {**slsa(FACTS, "0.1.0"), EXTENSION: own}, run_subjects(FACTS))


def test_a_run_comes_back_as_it_was_recorded() -> None:
    assert parse_record(_record()[1]).run == FACTS


def test_every_record_holds_its_number_and_the_digest_of_the_bytes_before_it() -> None:
    head, first = _record()
    _, second = _record(head)
    parsed = parse_record(second)
    assert (parsed.sequence, parsed.previous) == (2, hashlib.sha256(first).hexdigest())


def test_a_record_is_an_in_toto_statement_in_a_dsse_envelope() -> None:
    body = json.loads(_record()[1])
    statement = json.loads(base64.b64decode(body["payload"]))
    assert body["payloadType"] == "application/vnd.in-toto+json"
    assert body["signatures"] == []
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0] == {"name": "run:dvc.yaml:train@ä", "digest": {"sha256": "a" * 64}}
    assert statement["subject"][2]["digest"] == {"dvcDirMd5": "2" * 32}


def test_every_single_bit_flip_breaks_the_form_or_the_chain() -> None:
    head, data = _record()
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            try:
                parse_record(bytes(flipped))
            except BadRecord:
                continue
            assert hashlib.sha256(flipped).hexdigest() != head.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\n",
        lambda data: data.strip(),
        lambda data: data.replace(b'{"payload"', b'{ "payload"'),
        lambda data: data.replace(b'"signatures":[]', b'"signatures":[],"zz":1'),
        lambda data: b"",
        lambda data: b"[]\n",
        lambda data: b'{"payload":"","payloadType":"","signatures":[]}\n',
    ],
    ids=["newline", "no newline", "space", "extra key", "empty", "array", "empty payload"],
)
def test_bytes_that_are_not_canonical_are_no_record(change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadRecord):
        parse_record(change(_record()[1]))
