"""Deployments: gates held against what pipelines record, gates that become stages, and the seal of hold-outs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runner.core.gates import Gate, Waiver
from runner.core.measures import MetricName
from runner.core.nouns import Holdout
from runner.errors import Place
from runner.git.read import Reader
from runner.specs import builtin_stages
from runner.specs.deployments import EVIDENCE, DeploymentReading, Evidence, Ground, read_deployment
from runner.specs.documents import Document, locator_of
from runner.specs.layout import Layout
from runner.specs.left_out import Faults
from runner.specs.loading import load_generated
from runner.specs.parse_cache import ParseCache
from runner.specs.places import Locator
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of

HEAD = "apiVersion: runner/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
STAGES = """\
  stages:
    prepare: {cmd: x, deps: [data/raw.csv], outs: [data/train.csv]}
    train: {cmd: x, deps: [data/train.csv], outs: [model]}
    evaluate: {cmd: x, deps: [model, data/holdout.csv], metrics: [metrics.json: {cache: false}]}
"""
DATA = {"data/raw.csv": "1\n", "data/holdout.csv": "2\n"}
AUC = 'metric: "metrics.json:auc"'
SEALED = "  holdout: {data: data/holdout.csv}\n"


def files(pipeline: str, *gates: str, rest: str = "") -> dict[str, str]:
    deployment = HEAD.format(kind="Deployment", name="api") + "  model: {pipeline: churn, out: model}\n" + rest
    deployment += "  gates:\n" + "".join(f"  - {gate}\n" for gate in gates) if gates else ""
    return {
        **DVC_PROJECT,
        **DATA,
        "runner.yaml": HEAD.format(kind="Pipeline", name="churn") + pipeline,
        "deployments/api.yaml": deployment,
    }


def test_gates_are_read_with_names_of_what_they_ask_for(git_repo: Callable[..., GitRepo]) -> None:
    gates = (
        '{metric: "metrics.json:auc", min: 0.8}',
        '{metric: "metrics.json:auc", max: 1, confidence: 0.95, onInconclusive: fail}',
        '{metric: "metrics.json:auc", vs: champion, minDelta: -0.01, noise: "metrics.json:seeds"}',
        '{metric: "metrics.json:a.b", slice: sex, min: 0.7, minSupport: 50, severity: warn}',
        '{metric: "metrics.json:auc", slice: {age: 3}, equals: 1, waiver: {by: ann, reason: why, until: "2027-01-31"}}',
    )
    desired = desired_of(git_repo(files(STAGES, *gates, rest="  acceptEvidence: true\n  loadTest: {}\n")))

    (found,) = desired.deployments
    auc = MetricName("metrics.json", ("auc",))
    assert (found.name, found.pipeline, found.out, found.accept_evidence) == ("api", "churn", "model", True)
    assert found.gates == (
        Gate("metrics.json:auc", auc, min=0.8),
        Gate("metrics.json:auc (2)", auc, max=1, confidence=0.95, on_inconclusive="fail"),
        Gate("metrics.json:auc vs champion", auc, versus="champion", min_delta=-0.01, noise=_seeds()),
        Gate("metrics.json:a.b by sex", _slices("sex", "*", "a", "b"), min=0.7, min_support=50, warns=True),
        Gate("metrics.json:auc of age=3", _slices("age", "3", "auc"), equals=1, waiver=_waiver()),
    )
    assert [notice.message for notice in desired.not_handled] == ["`loadTest` of the Deployment api is not handled yet"]


def _seeds() -> MetricName:
    return MetricName("metrics.json", ("seeds",))


def _slices(*keys: str) -> MetricName:
    return MetricName("metrics.json", ("slices", *keys))


def _waiver() -> Waiver:
    return Waiver("ann", "why", "2027-01-31")


@pytest.mark.parametrize(
    ("gate", "finding"),
    [
        (
            '{metric: "metric.json:auc", min: 1}',
            "6: no stage has the metrics file `metric.json` (did you mean",
        ),
        ('{metric: "model:auc", min: 1}', "6: `model` is an output, and no metrics file (name it below `metrics`"),
        ('{metric: "../m.json:auc", min: 1}', "6: `../m.json:auc` names no metric (write `FILE:KEY`"),
        (f"{{{AUC}}}", "5: the gate has no bound (it takes: min, max, equals, minDelta, maxDelta)"),
        (f"{{{AUC}, min: .nan}}", "34: `min: nan` is no bound (write a finite number)"),
        (f"{{{AUC}, minDelta: 0}}", "34: `minDelta` compares with nothing (say `vs: champion`"),
        (f"{{{AUC}, min: 1, vs: base}}", "42: nothing is asked of the difference to the base"),
        (f"{{{AUC}, min: 1, vs: bsae}}", "42: `vs` must be one of champion, base, not `bsae`"),
        (f"{{{AUC}, min: 1, noise: 0.1}}", "42: `noise` is a tolerance for comparisons"),
        (f"{{{AUC}, min: 1, max: 0}}", "34: `min` is above `max`, so nothing passes (swap them)"),
        (f"{{{AUC}, min: 1, equals: 1}}", "42: `equals` leaves nothing for other bounds"),
        (f"{{{AUC}, min: 1, slice: {{a: 1, b: 2}}}}", "42: a slice is of one column (make a gate of each)"),
        (f'{{{AUC}, min: 1, waiver: {{by: a, reason: b, until: "2026-02-30"}}}}', "69: `2026-02-30` is no day"),
        (f"{{{AUC}, fairness: x, min: 1}}", "5: a gate is of one kind, and this one says metric and fairness"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_told_where_it_stands(
    git_repo: Callable[..., GitRepo], gate: str, finding: str
) -> None:
    (found,) = findings_of(git_repo(files(STAGES, gate)))
    assert found.startswith(f"deployments/api.yaml:7:{finding}")


@pytest.mark.parametrize(
    ("rest", "finding"),
    [
        ("  limits: {timeout: 0s}\n", "6:12: `limits.timeout` has to be a time from 0.01 s to 3600 s, not `0s` (such"),
        ("  limits: {row: 5}\n", "6:12: unknown key `row` in `limits` (did you mean `rows`?)"),
        ("  replicas: 0\n", "6:3: `replicas` must be at least 1, not 0"),
        ('  replicas: "2"\n', "6:3: `replicas` must be a whole number, not the text `2` ("),
        ("  log: {sample: 1}\n", "6:3: `log` does not say where to (say `to: FOLDER`"),
        ("  environments: [{name: a, spec: {log: {sample: 1}}}]\n", "6:35: `log` does not say where to"),
        (
            "  log: {to: x, drop: [a]}\n  environments: [{name: a}, {name: b, spec: {log: {hash: [a]}}}]\n",
            "7:52: the column `a` is to be dropped and hashed (name it in one",
        ),
    ],
)
def test_what_servers_could_not_do_is_told_once_where_it_stands(
    git_repo: Callable[..., GitRepo], rest: str, finding: str
) -> None:
    (found,) = findings_of(git_repo(files(STAGES, rest=rest)))
    assert found.startswith(f"deployments/api.yaml:{finding}")


def test_what_servers_are_told_reaches_each_environment(git_repo: Callable[..., GitRepo]) -> None:
    rest = (
        "  limits: {rows: 5, body: 1Mi}\n  log: {to: x}\n  types: [a.B]\n  strict: true\n  replicas: 2\n"
        "  environments: [{name: a}, {name: b, spec: {limits: {rows: 9}, log: false, explain: true}}]\n"
    )
    desired = desired_of(git_repo(files(STAGES, rest=rest)))
    (found,) = desired.deployments
    both = {"types": ["a.B"], "strict": True, "replicas": 2}
    assert [dict(one.serving) for one in found.environments] == [
        {"limits": {"rows": 5, "body": "1Mi"}, "log": {"to": "x"}, **both},
        {"limits": {"rows": 9, "body": "1Mi"}, "log": False, "explain": True, **both},
    ]
    assert desired.not_handled == ()


def test_a_freeze_is_of_days_and_times_of_the_calendar(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo(files(STAGES, rest="  freeze: [{from: 2026-12-20, until: '9999-12-31'}]\n"))
    (found,) = findings_of(repo)
    assert "6:13: `from` must be text, not the date 2026-12-20: put it in quotes" in found
    repo.commit(files(STAGES, rest="  freeze: [{from: '2026-12-20', until: '9999-12-31'}]\n"))
    [freeze] = desired_of(repo).deployments[0].environments[0].freezes
    assert (freeze.start, freeze.end) == ("2026-12-20T00:00:00.000Z", "9999-12-31T23:59:59.999Z")
    repo.commit(files(STAGES, rest="  freeze: [{from: '2026-12-20T18:00Z', until: '2026-12-20T18:00Z'}]\n"))
    assert "is before `from" in findings_of(repo)[0]


def test_two_gates_of_one_name_are_told(git_repo: Callable[..., GitRepo]) -> None:
    gate = '{name: a, metric: "metrics.json:auc", min: 1}'
    (found,) = findings_of(git_repo(files(STAGES, gate, gate)))
    assert found == "deployments/api.yaml:8:6: a second gate is named `a` (rename one of them)"


def test_a_gate_on_what_was_left_out_is_not_told_of(git_repo: Callable[..., GitRepo]) -> None:
    """The stage that makes the metrics is broken; that nobody makes them follows from that."""
    broken = STAGES.replace("evaluate: {cmd: x, ", "evaluate: {comd: x, ")
    found = findings_of(git_repo(files(broken, '{metric: "metrics.json:auc", min: 1}')))
    assert not [text for text in found if "metrics file" in text]
    assert found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("stages:", "stages: [", 1), "runner.yaml"),
        (lambda text: text.replace("name: churn", "name: chorn"), "there is no pipeline `churn`"),
    ],
    ids=["a document that is not YAML", "another name"],
)
def test_where_the_pipeline_is_not_known_nothing_is_said_of_what_it_lacks(
    change: Callable[[str], str], told: str, git_repo: Callable[..., GitRepo]
) -> None:
    gates = '{metric: "others.json:auc", min: 1}', "{skew: true}"
    made = files(STAGES + SEALED, *gates)
    (found,) = findings_of(git_repo({**made, "runner.yaml": change(made["runner.yaml"])}))
    assert told in found


# ----- evidence


def test_evidence_needs_a_stage_that_the_library_has(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo(files(STAGES, "{skew: true}"))
    _, found = _evidence(repo, {"skew": True}, [], uses="later")
    assert found == ["`skew` needs the stage `later` of the library, which this version does not have"]


def test_every_kind_of_evidence_has_its_stage(git_repo: Callable[..., GitRepo]) -> None:
    gates = ["{fairness: accuracy_ratio, sensitive: [s], min: 1}", "{robustness: noise, max: 1}", "{skew: {rows: 9}}"]
    assert {evidence.uses for evidence in EVIDENCE.values()} <= builtin_stages.BUILTINS.keys()
    stages = desired_of(git_repo(files(STAGES + SEALED, *gates))).pipelines[-1].stages
    assert [stage.uses.partition("@")[0] for stage in stages] == ["fairness", "robustness", "skew"]
    assert dict(stages[2].given) == {"data": "data/holdout.csv", "model": "model", "rows": "9"}


def _evidence(
    repo: GitRepo, gate: Mapping[str, object], holdouts: list[Holdout], uses: str = "split"
) -> tuple[DeploymentReading, list[str]]:
    """What a gate becomes of a kind that the stage `split` is evidence for, and findings."""
    with Reader.discover(repo.path) as reader:
        layout = Layout(reader, reader.resolve("HEAD"), ParseCache(None))
        file = "deployments/api.yaml"
        oid = layout.tree.files[file].oid
        spec = {"model": {"pipeline": "churn", "out": "model"}, "gates": [gate]}
        document = Document("Deployment", "api", file, oid, 0, 1, 1, spec, {})
        faults = Faults()
        locator = locator_of(document, layout)
        ground = Ground(".", (), ("churn",), holdouts, faults, {"skew": Evidence(uses, default_max=0.0)})
        return read_deployment(document, locator, ground), [finding.message for finding in faults.findings]


def test_a_gate_that_needs_data_becomes_a_stage_of_a_pipeline_of_its_own(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo(files(STAGES, "{skew: true}"))
    sealed = [Holdout("churn", ("data/holdout.csv",))]
    reading, _ = _evidence(repo, {"name": "replay it!", "skew": {"parts": [1, 1]}}, sealed)
    (gate,) = reading.deployment.gates
    assert gate == Gate("replay it!", MetricName("evidence/api/replay-it.json", ("mismatches",)), max=0.0, kind="skew")
    assert reading.definition["stages"] == {
        "replay-it": {
            "uses": "split",
            "with": {"model": "model", "data": "data/holdout.csv", "parts": [1, 1]},
            "metrics": [{"evidence/api/replay-it.json": {"cache": False}}],
            "desc": "Evidence for the gate replay it! of the Deployment api.",
        }
    }
    assert reading.marks == {"replay-it": (7, 5)}


def test_the_stages_that_gates_ask_for_are_planned_and_rendered_as_any_other(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo(files(STAGES))
    stage = {"uses": "split", "with": {"data": "data/raw.csv", "parts": [0.5, 0.5]}, "outs": ["a.csv", "b.csv"]}
    with Reader.discover(repo.path) as reader:
        layout = Layout(reader, reader.resolve("HEAD"), ParseCache(None))
        locator = Locator("deployments/api.yaml", lambda: repo.path.joinpath("deployments/api.yaml").read_text())
        source = ("api-evidence", "the gates of api", {"stages": {"s": stage}}, {"s": (7, 5)}, locator)
        loaded = load_generated(layout, *source, ParseCache(None), Faults())
    assert loaded is not None
    (made,) = loaded.pipeline.stages
    assert (str(made.address), made.deps, made.uses) == ("api-evidence:s", ("data/raw.csv",), "split@1")
    assert made.place == Place("deployments/api.yaml", 7, 5)
    assert loaded.pipeline.dvc_file == ".runner/pipelines/api-evidence/dvc.yaml"
    assert str(loaded.pipeline.rendered).startswith("# Rendered by the runner from the gates of api; edit that")
    assert "cmd: runner stage split" in str(loaded.pipeline.rendered)


def test_evidence_needs_data_and_takes_the_only_hold_out(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo(files(STAGES, "{skew: true}"))
    _, told = _evidence(repo, {"skew": True}, [Holdout("other", ("x",))])
    assert told == ["`skew` needs data to be computed from"]


def test_a_fairness_gate_is_a_stage_that_reads_the_model_and_the_hold_out(git_repo: Callable[..., GitRepo]) -> None:
    gate = "{name: fair, fairness: accuracy_difference, sensitive: [sex], max: 0.1, minGroup: 30}"
    desired = desired_of(git_repo(files(STAGES + SEALED, gate)))
    (stage,) = next(pipeline.stages for pipeline in desired.pipelines if pipeline.name == "api-evidence")
    assert (stage.address.stage, stage.deps) == ("fair", ("model", "data/holdout.csv"))
    assert dict(stage.given)["min_group"] == "30"
    (deployment,) = desired.deployments
    metric = MetricName("evidence/api/fair.json", ("accuracy_difference",))
    assert deployment.gates == (Gate("fair", metric, max=0.1, min_support=30, kind="fairness"),)
    assert (stage.out_paths, stage.outs[0].cache) == ((metric.file,), False)


# ----- the sealed hold-out


@pytest.mark.parametrize(
    ("pipeline", "finding"),
    [
        (
            STAGES.replace("deps: [data/train.csv]", "deps: [data/train.csv, data/holdout.csv]"),
            "7:44: `train` reads the sealed hold-out (`data/holdout.csv`), and makes the model of the Deployment api",
        ),
        (
            STAGES.replace("deps: [data/raw.csv]", "deps: [data]").replace("data/train.csv", "train.csv"),
            "6:30: `prepare` reads from the sealed hold-out (`data`), and `train`, which makes the model of the",
        ),
        (
            STAGES.replace("x, deps: [model,", "x, training: true, deps: [model,"),
            "8:54: `evaluate` reads the sealed hold-out (`data/holdout.csv`), and trains",
        ),
    ],
)
def test_what_trains_may_not_read_the_hold_out_nor_may_what_it_builds_on(
    git_repo: Callable[..., GitRepo], pipeline: str, finding: str
) -> None:
    (found,) = findings_of(git_repo(files(pipeline + SEALED)))
    assert found.startswith(f"runner.yaml:{finding}")
    assert "(only stages that nothing trained builds on may read it" in found
    assert findings_of(git_repo(files(pipeline), name="unsealed")) == []


def test_an_evaluation_may_read_the_hold_out_and_a_split_may_make_it(
    git_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    split = STAGES.replace("outs: [data/train.csv]", "outs: [data/train.csv, data/sealed.csv]")
    split = split.replace("data/holdout.csv", "data/sealed.csv")
    desired = desired_of(git_repo(files(split + "  holdout: {data: [data/sealed.csv], maxUses: 9}\n")), tmp_path)
    (holdout,) = desired.holdouts
    assert (holdout.pipeline, holdout.paths, holdout.max_uses) == ("churn", ("data/sealed.csv",), 9)


def test_training_may_be_said_in_a_dvc_yaml(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    meta = "meta: {runner: {training: true}}"
    stages = f"stages:\n  fit: {{cmd: x, deps: [data/holdout.csv], outs: [fitted], {meta}}}\n"
    repo = git_repo({**files(STAGES + SEALED), "dvc.yaml": stages})
    expected = "dvc.yaml:2:24: `fit` reads the sealed hold-out (`data/holdout.csv`), and trains"
    for _ in range(2):  # the second time from the cache
        (found,) = findings_of(repo, tmp_path)
        assert found.startswith(expected)


def test_a_hold_out_that_nobody_has_seals_nothing_and_is_told(git_repo: Callable[..., GitRepo]) -> None:
    (found,) = findings_of(git_repo(files(STAGES + "  holdout: {data: data/holdot.csv}\n")))
    assert found == (
        "runner.yaml:9:3: the hold-out `data/holdot.csv` is neither in git nor in DVC, and no stage makes it "
        "(did you mean `data/holdout.csv`?)"
    )


def test_who_signs_is_read_of_each_environment_with_its_strictest_row(git_repo: Callable[..., GitRepo]) -> None:
    rest = (
        "  approvals: [risk, {role: lead, count: 2}]\n  environments:\n"
        "  - {name: a}\n"
        "  - {name: b, from: a, requires: {approvals: [{role: risk, notAuthor: true}, law], soak: 24h}}\n"
        "  - {name: c, from: b, requires: law, spec: {approvals: []}}\n"
        "  - {name: d, requires: [law]}\n"
    )
    (found,) = desired_of(git_repo(files(STAGES, rest=rest))).deployments
    rows = {one.name: [(row.role, row.count, row.not_author) for row in one.approvals] for one in found.environments}
    assert rows == {
        "a": [("risk", 1, False), ("lead", 2, False)],
        "b": [("risk", 1, True), ("lead", 2, False), ("law", 1, False)],
        "c": [("law", 1, False)],
        "d": [("risk", 1, False), ("lead", 2, False), ("law", 1, False)],
    }
    assert [one.soak_seconds for one in found.environments] == [0, 86400, 0, 0]


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (
            "  environments: [{name: a, requires: {soak: 24h}}]\n",
            "6:39: nothing stands anywhere before it comes to `a`",
        ),
        ("  environments: [{name: a}, {name: b, from: a, requires: {soak: 0}}]\n", "`soak: 0` is no length of time"),
        ("  budget: {objective: 0.9}\n", "6:3: a budget needs `window` and `prometheus`"),
        ("  budget: {objective: 0.9, window: 0s, prometheus: 'http://a'}\n", "`window: 0s` is no length of time"),
        ("  budget: {objective: 1, window: 1h, prometheus: 'http://a'}\n", "`objective`"),
        ("  budget: {objective: 0.9, window: 1h, prometheus: 'http://me:secret@a'}\n", "`prometheus`"),
        ("  approvals: [{role: risk, count: 0}]\n", "`count`"),
        ("  approvals: ['two words']\n", "two words"),
    ],
)
def test_what_cannot_hold_a_release_is_a_finding(rest: str, said: str, git_repo: Callable[..., GitRepo]) -> None:
    found = "\n".join(map(str, findings_of(git_repo(files(STAGES, rest=rest)))))
    assert said in found, found
