"""Audits, for people and for programs."""

from __future__ import annotations

import base64
from typing import Any

from runner.audit.chain import Chain
from runner.audit.findings import Breach
from runner.audit.reading import Ledger
from runner.audit.verify import Report
from runner.core.records import Record
from runner.report.style import Style, fields, plural

_MOST = 50
_WORDS = {
    Breach.CHAIN: "chain",
    Breach.SIGNATURE: "signature",
    Breach.ROLLBACK: "rollback",
    Breach.BYTES: "bytes",
    Breach.POLICY: "policy",
}


def verify_json(name: str, report: Report) -> dict[str, Any]:
    """An audit as plain JSON."""
    return {
        "schema": 1,
        "ref": name,
        "commit": report.ledger.commit,
        "records": report.chain.size,
        "hashed": report.hashed,
        "signed": report.chain.signed,
        "keys": report.keyids,
        "stateCommits": len(report.ledger.steps),
        "historyComplete": report.ledger.complete,
        "signaturesChecked": report.trusted,
        "pinned": report.pinned,
        "deep": report.deep,
        "checkpoint": report.checkpoint.as_bytes().decode(),
        "findings": [
            {"kind": _WORDS[one.breach], "exitCode": int(one.breach), "place": one.place, "message": one.message}
            for one in report.found
        ],
        "exitCode": report.exit_code,
    }


def verify_text(name: str, report: Report, style: Style) -> str:
    """An audit for a terminal."""
    good = not report.found
    head = style.green("whole") if good else style.red(plural(len(report.found), "finding"))
    lines = [f"{style.bold(Style.safe(name))} at {report.ledger.commit[:12]}: {head}"]
    rows = [
        ("records", _records_text(report)),
        ("signatures", signatures_text(report)),
        ("root", base64.b64encode(report.checkpoint.root).decode()),
    ]
    if report.pinned is not None:
        rows.append(("pinned", f"held against a checkpoint of {plural(report.pinned, 'record')}"))
    if not report.ledger.complete:
        rows.append(("history", "this clone is shallow: earlier state commits were not looked at"))
    if report.deep is not None:
        rows.append(("deep", report.deep))
    lines += fields(rows, style, indent=2)
    if report.found:
        shown = report.found[:_MOST]
        lines += ["", *(f"  {style.red(_WORDS[one.breach])}  {Style.safe(str(one))}" for one in shown)]
        if len(report.found) > len(shown):
            lines.append(f"  and {len(report.found) - len(shown)} more; --json lists all")
    return "\n".join(lines) + "\n"


def _records_text(report: Report) -> str:
    commits = plural(len(report.ledger.steps), "state commit")
    if not report.hashed:
        return f"{report.chain.size} in {commits}"
    later = f"those from {report.hashed + 1} on were examined, the others hashed (--deep examines all)"
    return f"{report.chain.size}, and {commits} since the pinned checkpoint; {later}"


def signatures_text(report: Report) -> str:
    """What is known of signatures, in words."""
    total, signed = len(report.chain.data), report.chain.signed
    if not signed and not report.hashed:
        return "none: no record is signed, so anybody who may push could have written them"
    each = "every record" if not report.hashed else f"every record from {report.hashed + 1} on"
    what = f"{each} is signed" if signed == total else f"{signed} of {total} records are signed"
    if not report.trusted:
        return f"{what}; not checked, since no trust file was named (--trust)"
    return f"{what}; held against the trust file"


def ledger_json(ledger: Ledger, chain: Chain, checkpoint: str) -> dict[str, Any]:
    """A ledger in short, as plain JSON."""
    return {
        "schema": 1,
        "commit": ledger.commit,
        "origin": chain.origin,
        "records": len(chain.data),
        "signed": chain.signed,
        "keys": sorted({keyid for _, record in chain.records() for keyid in record.keyids}),
        "checkpoint": checkpoint,
    }


def ledger_text(ledger: Ledger, chain: Chain, checkpoint: str, style: Style) -> str:
    """A ledger in short: its records by kind and its checkpoint, which may be kept to pin it."""
    kinds: dict[str, int] = {}
    for _, record in chain.records():
        kinds[record.kind.name] = kinds.get(record.kind.name, 0) + 1
    rows = [
        ("ledger", chain.origin),
        ("commit", ledger.commit),
        ("records", ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()))),
        ("signed", f"{chain.signed} of {len(chain.data)}"),
    ]
    return "\n".join([*fields(rows, style, indent=2), "", *Style.safe_lines(checkpoint), ""])


def record_json(record: Record) -> dict[str, Any]:
    """A record with its whole statement, as plain JSON."""
    return {
        "schema": 1,
        "record": record.sequence,
        "kind": record.kind.name,
        "recordedAt": record.recorded_at,
        "previous": record.previous,
        "keys": list(record.keyids),
        "subject": [dict(row) for row in record.subject],
        "predicateType": record.predicate_type,
        "predicate": dict(record.predicate),
    }
