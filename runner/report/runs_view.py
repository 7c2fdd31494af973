"""Recorded runs, one or many or two side by side, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.records import Record, RunFacts
from runner.core.runkey import shown
from runner.report.style import Style, duration, size, table

Rows = Sequence[tuple[Record, RunFacts]]


def list_json(rows: Rows) -> dict[str, Any]:
    """Runs as plain JSON, the newest first."""
    return {"schema": 1, "runs": [{"record": record.sequence, **run.as_json()} for record, run in rows]}


def list_text(rows: Rows, style: Style) -> str:
    """Runs as a table."""
    if not rows:
        return "There are no recorded runs.\n"
    cells = [
        [
            str(record.sequence),
            str(run.address),
            "ok" if run.succeeded else run.reason,
            run.started_at[:16].replace("T", " "),
            duration(run.seconds),
            run.desired[:8],
            _metrics(run),
        ]
        for record, run in rows
    ]
    return table(("record", "stage", "outcome", "started (UTC)", "took", "commit", "metrics"), cells, style)


def show_json(record: Record) -> dict[str, Any]:
    """A record as plain JSON."""
    return {
        "schema": 1,
        "record": record.sequence,
        "previous": record.previous,
        "signed": record.signed,
        "predicateType": record.predicate_type,
        "predicate": dict(record.predicate),
    }


def show_text(record: Record, style: Style) -> str:
    """A record for a terminal."""
    run = record.run
    signed = "signed" if record.signed else "not signed"
    if run is None:
        facts = record.predicate.get("reconcile", {})
        lines = [style.bold(f"Record {record.sequence}: a reconcile") + style.dim(f"  ({signed})")]
        lines += [f"  {name:<10} {shown(value)}" for name, value in facts.items() if value not in ([], {}, None)]
        return "\n".join(lines) + "\n"
    outcome = style.green("ok") if run.succeeded else style.red(f"{run.reason}: {run.message}")
    lines = [
        style.bold(f"Record {record.sequence}: {Style.safe(str(run.address))}")
        + f"  {outcome}"
        + style.dim(f"  ({signed})")
    ]
    lines.append(
        f"  ran        {run.started_at}, {duration(run.seconds)}, {run.cpu_seconds:.1f} CPU s, {size(run.max_rss_bytes)}"
    )
    lines.append(f"  by         {run.actor} on {run.host.get('name', '?')} ({run.isolation}, {run.trust})")
    lines.append(f"  for        {run.desired}")
    lines.append(f"  key        {run.key}")
    for kind in ("cmd", "dep", "param", "env"):
        value = run.material.get(kind)
        for name, item in value.items() if isinstance(value, Mapping) else [("", value)] if value else []:
            lines.append(f"  {kind:<10} {Style.safe(name)}  {style.dim(shown(item))}".replace("   ", "  ", 0))
    lines += [f"  out        {Style.safe(out.path)}  {style.dim(out.md5)}" for out in run.outs]
    lines += [f"  metric     {Style.safe(name)}  {shown(value)}" for name, value in _leaves(run)]
    if run.undeclared:
        lines.append(f"  dropped    {', '.join(map(Style.safe, run.undeclared[:5]))}")
    if run.log_tail:
        lines += ["  log        (its end)", *(f"    │ {Style.safe(line)}" for line in run.log_tail.splitlines())]
    return "\n".join(lines) + "\n"


def compare_json(one: Record, other: Record) -> dict[str, Any]:
    """What differs between two runs as plain JSON."""
    return {
        "schema": 1,
        "records": [one.sequence, other.sequence],
        "differences": [
            {"what": what, "from": a, "to": b, "delta": _delta(a, b)} for what, a, b in _differing(one, other)
        ],
    }


def compare_text(one: Record, other: Record, style: Style) -> str:
    """What differs between two runs as a table."""
    rows = [[what, _cell(a), _cell(b), _cell(_delta(a, b))] for what, a, b in _differing(one, other)]
    if not rows:
        return f"Records {one.sequence} and {other.sequence} are alike.\n"
    return table(("what", f"record {one.sequence}", f"record {other.sequence}", "difference"), rows, style)


def _differing(one: Record, other: Record) -> list[tuple[str, Any, Any]]:
    left, right = _facts(one), _facts(other)
    names = dict.fromkeys([*left, *right])
    return [(name, left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)]


def _facts(record: Record) -> dict[str, Any]:
    run = record.run
    if run is None:
        return {}
    facts: dict[str, Any] = {"stage": str(run.address), "outcome": run.reason, "commit": run.desired[:12]}
    facts |= {f"param {name}": value for name, value in run.material.get("param", {}).items()}
    facts |= {f"metric {name}": value for name, value in _leaves(run)}
    facts |= {f"dep {name}": str(value)[:12] for name, value in run.material.get("dep", {}).items()}
    facts |= {f"out {out.path}": out.md5[:12] for out in run.outs}
    return facts | {"seconds": round(run.seconds, 2)}


def _leaves(run: RunFacts) -> list[tuple[str, Any]]:
    return [leaf for file, values in run.metrics.items() for leaf in _flat(file, values, ":")]


def _flat(prefix: str, value: Any, joint: str = ".") -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    return [leaf for key, item in value.items() for leaf in _flat(f"{prefix}{joint}{key}", item)]


def _metrics(run: RunFacts) -> str:
    leaves = _leaves(run)
    texts = [f"{name.rpartition(':')[2]} {_cell(value)}" for name, value in leaves[:3]]
    return ", ".join(texts) + (f" and {len(leaves) - 3} more" if len(leaves) > 3 else "")


def _delta(one: Any, other: Any) -> float | None:
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other))
    return round(other - one, 12) if numbers else None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else shown(value)
