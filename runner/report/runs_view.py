"""One recorded run, or another record, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core.leaves import leaves
from runner.core.predicates import VERIFICATION
from runner.core.recorded import RUNNER
from runner.core.records import Record, RunFacts
from runner.core.runkey import shown
from runner.report.style import Style, command_lines, duration, fields, plural, size


def show_json(record: Record) -> dict[str, Any]:
    """A record as plain JSON."""
    return {
        "schema": 1,
        "record": record.sequence,
        "previous": record.previous,
        "signed": record.signed,
        "keys": list(record.keyids),
        "predicateType": record.predicate_type,
        "predicate": dict(record.predicate),
    }


def show_text(record: Record, style: Style) -> str:
    """A record for a terminal."""
    run = record.run
    signed = "signed" if record.signed else "not signed"
    if run is None:
        return _other_text(record, signed, style)
    outcome = style.green("ok") if run.succeeded else style.red(Style.safe(f"{run.reason}: {run.message}"))
    lines = [
        f"{style.bold(f'Record {record.sequence}: {Style.safe(str(run.address))}')}  {outcome}"
        + style.dim(f"  ({signed})"),
        *fields(_run_rows(run), style, indent=2),
    ]
    material = run.material
    cmd = material.get("cmd", "")
    commands = command_lines([cmd] if isinstance(cmd, str) else cmd)
    lines += ["", style.bold("  commands"), *commands] if commands else []
    for kind, title in (("dep", "inputs"), ("param", "parameters"), ("env", "environment variables")):
        lines += _part(title, [(name, shown(item)) for name, item in material.get(kind, {}).items()], style)
    lines += _part("outputs", [(out.path, out.md5) for out in run.outs], style)
    lines += _part("metrics", [(name, _cell(value)) for name, value in _leaves(run)], style)
    lines += _part("wrote beside its outputs; undone", [(path, "") for path in run.undeclared[:20]], style)
    if run.log_tail:
        tail = [f"    {style.dim('│')} {Style.safe(line)}" for line in run.log_tail.splitlines()]
        lines += ["", style.bold("  the end of its log"), *tail]
    return "\n".join(lines) + "\n"


def _other_text(record: Record, signed: str, style: Style) -> str:
    """A record of another kind: its facts, name by name; of a verification what came out as well."""
    name = record.kind.name
    title = f"Record {record.sequence}: {'an' if name[0] in 'aeiou' else 'a'} {name}"
    facts = dict(record.own.get(name, {}))
    lines: list[str] = []
    if record.kind is VERIFICATION:
        from runner.report.verify_view import runs_lines  # imported late: rare

        lines = ["", *(f"  {line}" for line in runs_lines(facts.pop("runs"), style))]
    head = style.bold(title) + style.dim(f"  ({signed})")
    return "\n".join([head, *fields(_fact_rows(facts), style, indent=2), *lines]) + "\n"


def _fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, value in facts.items():
        if name == "standing":
            rows.append((name, plural(len(value), "stage")))
            forms = sorted({path for row in value for path in row.get("forms", ())})
            rows += [("forms", shown(f"{', '.join(forms)} changed in form only"))] if forms else []
        elif name == "host" and isinstance(value, Mapping):
            rows.append((name, shown(value.get("name", "?"))))
        elif value not in ([], {}, None):
            rows.append((name, shown(value)))
    return rows


def _run_rows(run: RunFacts) -> list[tuple[str, str]]:
    started = run.started_at[:19].replace("T", " ")
    used = f"{run.cpu_seconds:.1f} CPU s, {size(run.max_rss_bytes)} of memory"
    rows = [("started", f"{started} UTC, took {duration(run.seconds)}, {used}")]
    rows.append(("by", f"{run.actor} on {run.host.get('name', '?')} ({run.isolation}, {run.trust})"))
    rows += [("commit", run.desired), ("run key", run.key)]
    if run.attempts > 1:
        rows.append(("attempts", str(run.attempts)))
    if run.provenance != RUNNER:
        rows.append(("provenance", run.provenance))
    if run.outs:
        rows.append(
            ("bytes", f"at DVC remote {run.location}" if run.location not in ("", "this host") else "on that host")
        )
    return rows


def _part(title: str, rows: list[tuple[str, str]], style: Style) -> list[str]:
    if not rows:
        return []
    plain = [f"    {Style.safe(name or value)}" for name, value in rows if not name or not value]
    return ["", style.bold(f"  {title}"), *(plain or fields(rows, style))]


def _leaves(run: RunFacts) -> list[tuple[str, Any]]:
    return [leaf for file, values in run.metrics.items() for leaf in leaves(file, values, ":")]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else shown(value)
