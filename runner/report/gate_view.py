"""Gates and what they came to: for a terminal, as JSON, and as the JUnit XML that CI systems show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.gates import Condition, Effect, Judgement, Verdict
from runner.core.measures import shown
from runner.report.holdout_view import holdout_lines
from runner.report.style import Style, table

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLOURS = {"pass": "green", "fail": "red", "held": "yellow", "waived": "yellow", "warns": "yellow"}
_WORDS = {Effect.PASS: "passes", Effect.FAIL: "fails", Effect.HOLD: "is held"}


def judgement_json(judgement: Judgement, model: Mapping[str, Any]) -> dict[str, Any]:
    """A deployment with its gates as plain JSON; `model` says what is recorded of it."""
    return {
        "deployment": judgement.deployment.name,
        "pipeline": judgement.deployment.pipeline,
        "out": judgement.deployment.out,
        "model": dict(model),
        "verdict": judgement.verdict.value,
        "effect": judgement.effect.value,
        "acceptEvidence": judgement.deployment.accept_evidence,
        "blockers": list(judgement.blockers),
        "gates": [
            {**condition.as_json(), "said": _word(condition), "bound": bound_text(condition)}
            for condition in judgement.conditions
        ],
    }


def judgement_text(judgement: Judgement, style: Style) -> str:
    """A deployment with its gates, for a terminal."""
    colour = {Effect.PASS: style.green, Effect.FAIL: style.red, Effect.HOLD: style.yellow}[judgement.effect]
    lines = [f"{style.bold(style.safe(judgement.deployment.name))} {colour(_WORDS[judgement.effect])}"]
    if judgement.conditions:
        rows = [_row(condition) for condition in judgement.conditions]
        colours = {(number, 1): _COLOURS[row[1]] for number, row in enumerate(rows)}
        header = ["gate", "verdict", "value", "asked for", "against"]
        if not any(row[-1] for row in rows):
            header, rows = header[:-1], [row[:-1] for row in rows]
        lines += ["", table(header, rows, style, numbers=(2,), colours=colours, indent=2), ""]
        told = [condition for condition in judgement.conditions if _is_told(condition)]
        lines += [f"  {style.safe(f'{condition.gate.name}: {condition.message}')}" for condition in told]
    else:
        lines += ["  It has no gates."]
    lines += [f"  {style.yellow('held')}: {style.safe(text)}" for text in judgement.blockers]
    return "\n".join(lines).rstrip() + "\n"


def _is_told(condition: Condition) -> bool:
    """Whether the table does not say all of it: anything but a plain pass, and one that had nothing to compare with."""
    is_first = bool(condition.gate.versus) and condition.reading.delta is None
    return condition.verdict is not Verdict.PASS or is_first or bool(condition.gate.waiver)


def _row(condition: Condition) -> list[str]:
    reading = condition.reading
    value = "-" if reading.value is None else shown(reading.value)
    value += f" ({reading.slice})" if reading.slice else ""
    against = "" if reading.other is None else f"{shown(reading.other)} {condition.against}"
    return [condition.gate.name, _word(condition), value, bound_text(condition), against]


def _word(condition: Condition) -> str:
    if condition.verdict is Verdict.PASS:
        return "pass"
    if condition.effect is Effect.PASS:
        return "waived" if condition.waived else "warns" if condition.gate.warns else "pass"
    return "fail" if condition.effect is Effect.FAIL else "held"


def bound_text(condition: Condition) -> str:
    """What a gate asks for, in short: `>= 0.8 at 95 %`."""
    gate = condition.gate
    parts = [f">= {shown(gate.min)}"] if gate.min is not None else []
    parts += [f"<= {shown(gate.max)}"] if gate.max is not None else []
    parts += [f"= {shown(gate.equals)}"] if gate.equals is not None else []
    parts += [f"difference >= {shown(gate.min_delta)}"] if gate.min_delta is not None else []
    parts += [f"difference <= {shown(gate.max_delta)}"] if gate.max_delta is not None else []
    level = f" at {shown(100 * gate.confidence)} %" if gate.confidence is not None else ""
    support = f", of {shown(gate.min_support)} rows" if gate.min_support is not None else ""
    return " and ".join(parts) + level + support


def gate_text(document: Mapping[str, Any], judgements: Sequence[Judgement], style: Style) -> str:
    """All deployments, hold-outs and notes; `document` is what `--json` prints."""
    parts = [judgement_text(judgement, style) for judgement in judgements]
    own = document["policyCommit"] == document["commit"]
    whose = "this commit" if own else document["policy"]
    notes = [f"At {document['commit'][:12]}, by the gates of {style.safe(whose)}."]
    notes += holdout_lines(document["holdouts"], style)
    notes += [f"{style.yellow('notice: ')}{style.safe(text)}" for text in document["notes"]]
    return "\n".join([*parts, "\n".join(notes)]) + "\n"


def junit(document: Mapping[str, Any]) -> str:
    """The verdicts as JUnit XML: a suite for each deployment, a case for each gate and for what holds it.

    What fails is a failure, what is held an error, so that no CI system shows it as passed; what is waived is skipped.
    """
    from xml.etree import ElementTree as Xml  # imported late: rare

    root = Xml.Element("testsuites", name="gates")
    for row in document["deployments"]:
        cases = [(gate["name"], gate["said"], gate["message"]) for gate in row["gates"]]
        cases += [("what is recorded", "held", text) for text in row["blockers"]]
        said = [word for _, word, _ in cases]
        suite = Xml.SubElement(root, "testsuite", name=_xml(row["deployment"]), tests=str(len(cases)))
        suite.set("failures", str(said.count("fail")))
        suite.set("errors", str(said.count("held")))
        suite.set("skipped", str(said.count("waived") + said.count("warns")))
        for name, word, message in cases:
            case = Xml.SubElement(suite, "testcase", classname=_xml(f"gates.{row['deployment']}"), name=_xml(name))
            tag = {"fail": "failure", "held": "error", "waived": "skipped", "warns": "skipped"}.get(word, "system-out")
            if tag == "system-out":
                Xml.SubElement(case, tag).text = _xml(message)
            else:
                Xml.SubElement(case, tag, message=_xml(message))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Text without the characters that no XML may hold."""
    return _NOT_XML.sub("\ufffd", text)
