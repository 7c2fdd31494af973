"""Deployment documents: the gates of a model, checked against the metrics that its pipelines record.

What a gate needs data for (fairness, robustness, skew) becomes a stage of a pipeline of its own, `NAME-evidence`, so
that the plan shows it and the gate only reads what it recorded.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.core.gates import Deployment, Gate, Waiver
from runner.core.lock import relative
from runner.core.measures import EVERY, MetricName
from runner.core.nouns import Holdout, OutKind, Stage
from runner.specs import builtin_stages, environments, places, yaml12
from runner.specs.documents import Document
from runner.specs.guesses import GUESSES, nearest
from runner.specs.left_out import Faults
from runner.specs.places import Locator
from runner.specs.targets import Files
from runner.values import dataclass, field, replace

HANDLED_FIELDS = frozenset(["model", "gates", "acceptEvidence", "strategy", "target", *environments.HANDLED])
_BOUNDS = ("min", "max", "equals", "minDelta", "maxDelta")
_NO_NAME = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a kind of gate becomes a stage of the library."""

    uses: str
    """The stage's name in the library."""
    default_max: float | None = None
    """The bound of a gate that states none."""


EVIDENCE: Mapping[str, Evidence] = {
    "fairness": Evidence("fairness"),
    "robustness": Evidence("robustness"),
    "skew": Evidence("skew", default_max=0.0),
}
"""By the field of a gate. The stage gets the model, the data and what the gate says; it writes one metrics file."""


@dataclass(frozen=True)
class Ground:
    """What the pipelines of a commit offer to gates."""

    dvc_root: str
    stages: Sequence[Stage]
    pipelines: Sequence[str]
    """Their names."""
    holdouts: Sequence[Holdout]
    faults: Faults
    evidence: Mapping[str, Evidence] = field(default_factory=lambda: EVIDENCE)
    id_of: Callable[[str], str | None] = lambda path: None
    """The id in git of a file or folder of the commit."""
    is_program: Callable[[str], bool] = lambda path: False
    """Whether the commit has a file there that may be executed."""

    @functools.cached_property
    def outs(self) -> Mapping[str, OutKind]:
        """The outputs of all stages."""
        return {out.path: out.kind for stage in self.stages for out in stage.outs}

    @functools.cached_property
    def metrics(self) -> list[str]:
        """The metrics files among them, sorted."""
        return sorted(path for path, kind in self.outs.items() if kind is OutKind.METRIC)


@dataclass(frozen=True, slots=True)
class DeploymentReading:
    """A deployment, and the stages that its gates ask for."""

    deployment: Deployment
    definition: Mapping[str, Any]
    """Of the pipeline with the evidence; empty where the gates need none."""
    marks: Mapping[str, tuple[int, int]]
    """Line and column of the gate that each of its stages comes from."""
    unhandled: tuple[str, ...]
    """Fields of the document that this version does not act on."""

    @property
    def pipeline(self) -> str:
        """The name of the pipeline with the evidence."""
        return f"{self.deployment.name}-evidence"


def read_deployment(document: Document, locator: Locator, ground: Ground) -> DeploymentReading:
    """The deployment of a document, without gates that are wrong, which are noted in the faults."""
    reader = _Gates(document, locator, ground)
    gates = [reader.gate(index, row) for index, row in enumerate(document.spec.get("gates", ()))]
    own = tuple(gate for gate in gates if gate is not None)
    files = Files(ground.dvc_root, ground.id_of, ground.is_program)
    places_of = environments.EnvironmentReader(
        document.spec, locator, ground.faults, document.name, own, reader.of_environment, files
    )
    model = document.spec["model"]
    deployment = Deployment(
        name=document.name,
        pipeline=model["pipeline"],
        out=places.joined(ground.dvc_root, model["out"]) or model["out"],
        gates=own,
        accept_evidence=document.spec.get("acceptEvidence", False),
        environments=places_of.environments(),
    )
    unhandled = [name for name in document.spec if name not in HANDLED_FIELDS]
    unhandled += places_of.unhandled()
    definition = {"stages": reader.stages} if reader.stages else {}
    reading = DeploymentReading(deployment, definition, reader.marks, tuple(unhandled))
    if definition and reading.pipeline in ground.pipelines:
        message = f"the Pipeline `{reading.pipeline}` stands where the evidence of the gates would"
        ground.faults.add(locator.finding(("gates",), message, "rename that pipeline"))
        return replace(reading, definition={})
    return reading


class _Gates:
    """The gates of one document being read."""

    def __init__(self, document: Document, locator: Locator, ground: Ground) -> None:
        self._spec = document.spec
        self._name = document.name
        self._locator = locator
        self._ground = ground
        self._outs = ground.outs
        self._is_known = self._spec["model"]["pipeline"] in ground.pipelines
        """Whether its pipeline was read; else what is not there may be there, and is not asked for."""
        self._names: dict[str, int] = {}
        self._slugs: dict[str, int] = {}
        self.stages: dict[str, Any] = {}
        self.marks: dict[str, tuple[int, int]] = {}

    def of_environment(self, overlay: Mapping[str, Any], path: yaml12.Path) -> tuple[Gate, ...]:
        """The gates of an environment, in place of those of the Deployment; the same names may stand in both."""
        self._names = {}
        found = [self.gate(index, row, (*path, "gates", index)) for index, row in enumerate(overlay["gates"])]
        return tuple(gate for gate in found if gate is not None)

    def gate(self, index: int, row: Mapping[str, Any], path: yaml12.Path = ()) -> Gate | None:
        """A gate; None where something is wrong with it, which is noted."""
        at: yaml12.Path = path or ("gates", index)
        count = len(self._ground.faults.findings)
        kinds = [kind for kind in ("metric", *self._ground.evidence) if kind in row]
        if len(kinds) != 1:
            self._add(at, f"a gate is of one kind, and this one says {' and '.join(kinds)}", "make several of it")
            return None
        kind = kinds[0]
        self._check_bounds(at, row, kind)
        name = self._named(at, row, kind)
        metric = self._metric(at, row) if kind == "metric" else self._evidence(at, row, kind, name)
        noise = row.get("noise")
        noise = self._recorded((*at, "noise"), noise) if isinstance(noise, str) else noise
        waiver = self._waiver(at, row)
        if len(self._ground.faults.findings) > count or metric is None:
            return None
        is_bare = not any(bound in row for bound in _BOUNDS)
        default_max = self._ground.evidence[kind].default_max if kind != "metric" and is_bare else None
        return Gate(
            name=name,
            metric=metric,
            min=row.get("min"),
            max=row.get("max", default_max),
            equals=row.get("equals"),
            versus=row.get("vs", ""),
            min_delta=row.get("minDelta"),
            max_delta=row.get("maxDelta"),
            confidence=row.get("confidence"),
            noise=noise,
            min_support=row.get("minSupport", row.get("minGroup")),
            support=row.get("support", "support"),
            on_inconclusive=row.get("onInconclusive", "hold"),
            warns=row.get("severity") == "warn",
            waiver=waiver,
            kind=kind,
        )

    # ----- what a schema cannot say

    def _check_bounds(self, at: yaml12.Path, row: Mapping[str, Any], kind: str) -> None:
        for name in (*_BOUNDS, "minSupport", "noise"):
            value = row.get(name)
            if isinstance(value, float) and not math.isfinite(value):
                self._add((*at, name), f"`{name}: {value}` is no bound", "write a finite number")
        deltas = [name for name in ("minDelta", "maxDelta") if name in row]
        has_default = kind != "metric" and self._ground.evidence[kind].default_max is not None
        if not any(name in row for name in _BOUNDS) and not has_default:
            self._add(at, "the gate has no bound", f"it takes: {', '.join(_BOUNDS)}")
        if deltas and "vs" not in row:
            self._add((*at, deltas[0]), f"`{deltas[0]}` compares with nothing", "say `vs: champion` or `vs: base`")
        if "vs" in row and not deltas:
            self._add((*at, "vs"), f"nothing is asked of the difference to the {row['vs']}", "say `minDelta: 0`")
        if "noise" in row and "vs" not in row:
            hint = "say `vs: champion` or `vs: base`, or remove it"
            self._add((*at, "noise"), "`noise` is a tolerance for comparisons, and nothing is compared", hint)
        for least, most in (("min", "max"), ("minDelta", "maxDelta")):
            if least in row and most in row and row[least] > row[most]:
                self._add((*at, least), f"`{least}` is above `{most}`, so nothing passes", "swap them")
        if "equals" in row and len([name for name in _BOUNDS if name in row]) > 1:
            self._add((*at, "equals"), "`equals` leaves nothing for other bounds", "make two gates of it")

    def _waiver(self, at: yaml12.Path, row: Mapping[str, Any]) -> Waiver | None:
        stated = row.get("waiver")
        if stated is None:
            return None
        try:
            datetime.date.fromisoformat(stated["until"])
        except ValueError:
            message = f"`{stated['until']}` is no day of the calendar"
            self._add((*at, "waiver", "until"), message, "write it as `2027-01-31`")
        return Waiver(by=stated["by"], reason=stated["reason"], until=stated["until"])

    def _named(self, at: yaml12.Path, row: Mapping[str, Any], kind: str) -> str:
        """The gate's name: its own, which has to be unique, or one of what it asks for."""
        stated = row.get("name")
        name = stated or _name_of(row, kind)
        times = self._names[name] = self._names.get(name, 0) + 1
        if times == 1:
            return name
        if stated:
            self._add((*at, "name"), f"a second gate is named `{name}`", "rename one of them")
        return f"{name} ({times})"

    # ----- recorded metrics

    def _metric(self, at: yaml12.Path, row: Mapping[str, Any]) -> MetricName | None:
        found = self._recorded((*at, "metric"), row["metric"])
        part = row.get("slice")
        if found is None or part is None:
            return found
        if isinstance(part, dict) and len(part) != 1:
            self._add((*at, "slice"), "a slice is of one column", "make a gate of each")
            return None
        column, value = (part, EVERY) if isinstance(part, str) else next(iter(part.items()))
        return MetricName(found.file, ("slices", str(column), _text(value), *found.keys))

    def _recorded(self, at: yaml12.Path, text: str) -> MetricName | None:
        """A metric that a stage records; anything else is a finding."""
        file, _, key = text.partition(":")
        keys = tuple(key.split("."))
        path = places.joined(self._ground.dvc_root, file)
        if path is None or not all(keys):
            self._add(at, f"`{text}` names no metric", "write `FILE:KEY`, such as `metrics.json:roc_auc`")
            return None
        outs = self._outs
        if outs.get(path) is OutKind.METRIC or self._ground.faults.might_make(path):
            return MetricName(path, keys)
        if path not in outs and not self._is_known:
            return MetricName(path, keys)
        if path in outs:
            hint = "name it below `metrics` of the stage, so that its values are recorded"
            self._add(at, f"`{file}` is an output, and no metrics file", hint)
            return None
        known = self._ground.metrics
        close = nearest(path, known) if len(self._ground.faults.findings) < GUESSES else None
        hint = f"did you mean `{close}`?" if close else f"there is: {', '.join(known[:10]) or 'none'}"
        self._add(at, f"no stage has the metrics file `{file}`", hint)
        return None

    # ----- evidence

    def _evidence(self, at: yaml12.Path, row: Mapping[str, Any], kind: str, name: str) -> MetricName | None:
        """The metric of a stage that is made for this gate."""
        stage = self._stage_name(name)
        uses = self._ground.evidence[kind].uses
        if uses not in builtin_stages.BUILTINS:
            message = f"`{kind}` needs the stage `{uses}` of the library, which this version does not have"
            hint = "measure it in a stage of your own, and ask for its metric: `{metric: FILE:KEY, max: ...}`"
            self._add((*at, kind), message, hint)
            return None
        asked = self._asked(at, row, kind)
        data = self._data(at, row, kind)
        if asked is None or data is None:
            return None
        key, given = asked
        file = f"evidence/{self._name}/{stage}.json"
        self.stages[stage] = {
            "uses": uses,
            "with": {"model": self._spec["model"]["out"], "data": data, **given},
            "metrics": [{file: {"cache": False}}],
            "desc": f"Evidence for the gate {name} of the Deployment {self._name}.",
        }
        self.marks[stage] = self._locator.position(at)
        return MetricName(places.joined(self._ground.dvc_root, file) or file, key)

    def _asked(
        self, at: yaml12.Path, row: Mapping[str, Any], kind: str
    ) -> tuple[tuple[str, ...], Mapping[str, Any]] | None:
        """The key that the gate reads, and what it says in `with` of its stage."""
        level = {"confidence": row["confidence"]} if "confidence" in row else {}
        if kind == "fairness":
            if "sensitive" not in row:
                self._add(at, "`fairness` needs the columns that name the groups", "say `sensitive: [COLUMN]`")
                return None
            given = {"sensitive": row["sensitive"], "measures": [row["fairness"]], **level}
            return (row["fairness"],), given | ({"min_group": row["minGroup"]} if "minGroup" in row else {})
        if kind == "skew":
            return ("mismatches",), row["skew"] if isinstance(row["skew"], dict) else {}
        checks = row["robustness"] if isinstance(row["robustness"], dict) else {row["robustness"]: {}}
        if len(checks) != 1:
            self._add((*at, "robustness"), "a gate is of one check", "make a gate of each")
            return None
        return (str(next(iter(checks))),), {"checks": checks, **level}

    def _data(self, at: yaml12.Path, row: Mapping[str, Any], kind: str) -> str | None:
        if "data" in row:
            return str(row["data"])
        of_model = [row for row in self._ground.holdouts if row.pipeline == self._spec["model"]["pipeline"]]
        sealed = [path for row in of_model for path in row.paths]
        if len(sealed) == 1:
            return relative(sealed[0], self._ground.dvc_root)
        if not self._is_known:
            return None
        self._add(at, f"`{kind}` needs data to be computed from", "say `data: PATH`, or give the pipeline a `holdout`")
        return None

    def _stage_name(self, name: str) -> str:
        plain = _NO_NAME.sub("-", name).strip("-")[:60].rstrip("-") or "gate"
        stage, count = plain, self._slugs.get(plain, 1)
        while stage in self.stages:
            count += 1
            stage = f"{plain}-{count}"
        self._slugs[plain] = count
        return stage

    def _add(self, path: yaml12.Path, message: str, hint: str) -> None:
        self._ground.faults.add(self._locator.finding(path, message, hint))


def _name_of(row: Mapping[str, Any], kind: str) -> str:
    """A name from what a gate asks for, the same as long as it asks for the same."""
    if kind == "metric":
        said = [row["metric"]]
        part = row.get("slice")
        said += [] if part is None else [f"by {part}" if isinstance(part, str) else f"of {_slice_text(part)}"]
    else:
        value = row[kind]
        said = [kind, *([value] if isinstance(value, str) else map(str, value) if isinstance(value, dict) else [])]
        said += [f"by {', '.join(row['sensitive'])}"] if row.get("sensitive") else []
    return " ".join([*said, *([f"vs {row['vs']}"] if "vs" in row else [])])


def _slice_text(part: Mapping[str, Any]) -> str:
    return ", ".join(f"{column}={_text(value)}" for column, value in part.items())


def _text(value: Any) -> str:
    """A value of a column as the name of a slice has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
