"""What a project still lacks, in plain words, each with the lines that would add it: a pure function of facts.

Practices are ordered by worth: first what stops everything, then what keeps results and makes a model trustworthy,
last what is good to have. One that a team does without is declined in the Project, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.core.doctor import Advice, Diagnosis, Facts, Practice, Remedy
from runner.core.nouns import OutKind
from runner.core.remedies import (
    DEPLOYMENT,
    DVC_CONFIG,
    PICKLES,
    SPEC_FILE,
    Lines,
    Model,
    Place,
    flow,
    free,
    is_table,
    library,
    once,
    said,
)
from runner.values import replace

_LOCK = "requirements.lock"
_PARTS = ("data/develop.csv", "data/holdout.csv")
_UNCACHED = {"cache": False}
_KEY = "~/runner.key"
_MOST_LINES = 8
"""Of one kind, for stages that lack the same."""


def diagnosis(facts: Facts) -> Diagnosis:
    """What the project lacks."""
    desired = facts.desired
    if desired is None:
        remedy = Remedy(
            "There is no git repository here.",
            "The runner reads specs from commits, and records results in them.",
            ("git init", "runner init --template quickstart"),
        )
        return Diagnosis((Advice("repository", "docs/how-to.md#start-without-dvc", remedy), *_on_this_host(facts)))
    place = Place(desired, has_project=facts.has_project, groups=facts.groups)
    declined = dict(desired.project.declined)
    begun: set[tuple[str, str]] = set()
    found = []
    for practice in PRACTICES:
        lacking = None if practice.name in declined else practice.look(facts, place)
        if lacking is not None:
            lines = once(lacking.lines, begun)
            found.append(Advice(practice.name, practice.page, replace(lacking, lines=lines)))
    return Diagnosis(tuple(found), tuple(declined.items()))


def _on_this_host(facts: Facts) -> tuple[Advice, ...]:
    remedy = _host(facts, None)
    return () if remedy is None else (Advice("host", _HOST_PAGE, remedy),)


# ----- what stops everything


def _specs(facts: Facts, place: Place) -> Remedy | None:
    if facts.mistakes:
        count = f"{facts.mistakes} mistake{'s' if facts.mistakes != 1 else ''}"
        return Remedy(
            f"The specs have {count}.",
            "Nothing runs before they are mended. What stands below goes by what could be read.",
            ("runner validate",),
        )
    if place.pipelines:
        return None
    return Remedy("There is no pipeline yet.", "Without one there is nothing to run.", ("runner init",))


def _secrets(facts: Facts, _place: Place) -> Remedy | None:
    if not facts.missing_secrets:
        return None
    names = ", ".join(facts.missing_secrets)
    return Remedy(
        f"This host does not give what stages need as secrets: {names}.",
        "A reconcile from here ends before those stages begin. Where another host reconciles, all is well.",
        tuple(f"export {name}=..." for name in facts.missing_secrets),
    )


def _host(facts: Facts, _place: Place | None) -> Remedy | None:
    if not facts.host_lacks:
        return None
    return Remedy(" ".join(facts.host_lacks), "Stages run with less than they could have, or not at all.")


# ----- what keeps results


def _remote(facts: Facts, _place: Place) -> Remedy | None:
    if facts.git_remote:
        return None
    return Remedy(
        "The repository has no remote.",
        "Commits and results are on this disk alone, and nobody else can plan, review or reconcile.",
        ("git remote add origin URL", "git push --set-upstream origin HEAD"),
    )


def _storage(facts: Facts, place: Place) -> Remedy | None:
    cached = any(out.cache and out.push for _, stage in place.stages() for out in stage.outs)
    if facts.storage or not (cached or place.desired.tracked):
        return None
    root = place.desired.dvc_root
    file = ".dvc/config" if root == "." else f"{root}/.dvc/config"
    body = "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://BUCKET/PATH\n"
    return Remedy(
        "There is no DVC remote.",
        "Data and models are kept on the host that made them, and are lost with it.",
        () if place.desired.has_dvc else ("dvc init",),
        (Lines(file, DVC_CONFIG, "", body),),
    )


def _recorded(facts: Facts, place: Place) -> Remedy | None:
    if facts.state or not place.stages():
        return None
    asked = "; `runner plan --fetch` asks the remote" if facts.git_remote else ""
    return Remedy(
        f"No results are recorded, as far as this clone knows{asked}.",
        "Until then every plan starts from nothing.",
        (*(("git push",) if facts.git_remote else ()), "runner reconcile"),
    )


# ----- what makes a model trustworthy


def _contract(_facts: Facts, place: Place) -> Remedy | None:
    tables = place.tables() or [out.path for _, s in place.stages() for out in s.outs if is_table(out.path)]
    if place.uses("validate") or not tables:
        return None
    data, name = place.shown(tables[0]), place.stage_name("validate")
    contract = f"contracts/{_stem(data)}.yaml"
    made = tables[0] not in place.tables()
    reader = next((pipeline for pipeline, stage in place.stages() if tables[0] in stage.deps), None)
    given = {"data": data, "contract": contract}
    body = _stages(name, "validate", given, (f"metrics: [reports/{name}.json: {flow(_UNCACHED)}]",))
    return Remedy(
        f"Nothing checks the data: {data} has no contract.",
        "A changed unit, a new category or a shifted column is trained on without a word.",
        (*(("runner pull",) if made else ()), f"runner contract infer {data} --out {contract}"),
        (place.pipeline(reader, body),),
    )


def _holdout(_facts: Facts, place: Place) -> Remedy | None:
    models = place.models()
    if place.desired.holdouts or not models:
        return None
    model = models[0]
    why = (
        "What is tuned by a test set is fitted to it. Sealed data tells what the model does with rows nobody has seen."
    )
    unseen = place.unseen(model)
    if unseen is not None:
        body = f"spec:\n  holdout: {flow({'data': place.shown(unseen)})}\n"
        return Remedy("No test data is sealed off from training.", why, (), (place.pipeline(model.pipeline, body),))
    table = _table_for(place, model)
    if table is None:
        return Remedy("No test data is sealed off from training.", why)
    name = place.stage_name("split-holdout")
    split = _stages(name, "split", {"data": table, "parts": [0.8, 0.2]}, (f"outs: [{', '.join(_PARTS)}]",))
    body = f"spec:\n  holdout: {flow({'data': _PARTS[1]})}\n{split.removeprefix(_SPEC)}"
    return Remedy(
        f"No test data is sealed off from training. Let `{model.stage.address.stage}` read {_PARTS[0]} afterwards.",
        why,
        (),
        (place.pipeline(model.pipeline, body),),
    )


def _metrics(_facts: Facts, place: Place) -> Remedy | None:
    models = place.models()
    if place.metrics() or not models:
        return None
    model = models[0]
    why = "What is not measured can be neither compared nor gated."
    data = _test_data(place, model)
    if model.is_folder and data is not None:
        name = place.stage_name("evaluate")
        given = {"model": place.shown(model.path), "data": data}
        body = _stages(name, "evaluate", given, (f"metrics: [{_metrics_file(name)}: {flow(_UNCACHED)}]",))
        return Remedy("No metrics are recorded.", why, (), (place.pipeline(model.pipeline, body),))
    readers = [(p, s) for p, s in place.stages() if model.path in s.deps]
    pipeline, stage = readers[-1] if readers else (model.pipeline, model.stage)
    row = (f"metrics: [metrics.json: {flow(_UNCACHED)}]",)
    is_one = "@" not in stage.address.stage  # of a group each would have to write a file of its own
    lines = place.stage(pipeline, stage, row, beyond_dvc=False) if is_one else None
    message = f"No metrics are recorded. Let `{stage.address.stage}` write them as JSON."
    return Remedy(message, why, (), () if lines is None else (lines,))


def _gates(facts: Facts, place: Place) -> Remedy | None:
    models, deployments = place.models(), place.desired.deployments
    if not models or any(deployment.gates for deployment in deployments):
        return None
    metric = _metric(facts, place, models[0])
    gate = f"  gates:\n    - {flow({'metric': metric, 'min': 0.8})}\n"
    message = "No gate says how good a model has to be. Put in a bound that you would answer for."
    why = "Without one a worse model takes the place of a better one."
    if deployments:
        file = next((p.file for p in place.pipelines if p.name == deployments[0].pipeline), SPEC_FILE)
        body = f"{_SPEC}{gate}"
        return Remedy(message, why, (), (Lines(file, DEPLOYMENT, deployments[0].name, body),))
    model = models[0]
    of_model = flow({"pipeline": model.pipeline.name, "out": place.shown(model.path)})
    name = free(_name(place), {deployment.name for deployment in deployments})
    body = f"{_SPEC}  model: {of_model}\n{gate}"
    return Remedy(message, why, (), (Lines(SPEC_FILE, DEPLOYMENT, name, body, is_new=True),))


def _objective(facts: Facts, place: Place) -> Remedy | None:
    if not place.pipelines or (facts.purpose is not None and facts.purpose.objective is not None):
        return None
    return Remedy(
        "Nobody can read here what the project is for.",
        "Plans and model cards show it, and reviewers judge by it.",
        (),
        (place.project(f"{_SPEC}  objective: What the project is for, in a sentence.\n"),),
    )


def _owners(facts: Facts, place: Place) -> Remedy | None:
    if not place.pipelines or (facts.purpose is not None and facts.purpose.owners):
        return None
    return Remedy(
        "Nobody answers for the project.",
        "Whoever finds something wrong with a model has to know whom to ask.",
        (),
        (place.project(f"{_SPEC}  owners: [{{name: '@you', role: model}}]\n"),),
    )


def _environment(facts: Facts, place: Place) -> Remedy | None:
    lacking = [(pipeline, stage) for pipeline, stage in place.stages() if stage.environment is None]
    if not lacking:
        return None
    known = facts.lock_files[0] if facts.lock_files else None
    lock = flow({"lock": place.shown(known) if known else _LOCK})
    lines = []
    for pipeline in dict.fromkeys(row[0].name for row in lacking):
        home = next(row[0] for row in lacking if row[0].name == pipeline)
        if home.rendered is not None:
            lines.append(place.pipeline(home, f"{_SPEC}  environment: {lock}\n"))
            continue
        rows = [place.stage(home, s, (f"environment: {lock}",), beyond_dvc=True) for p, s in lacking if p is home]
        lines += [row for row in dict.fromkeys(rows) if row is not None]
    names = [stage.address.stage for _, stage in lacking]
    more = f" Lines for {_MOST_LINES} of them stand below." if len(lines) > _MOST_LINES else ""
    what = f"`{names[0]}` says" if len(names) == 1 else f"{len(names)} stages say"
    return Remedy(
        f"{what} nothing of the packages that {'it runs' if len(names) == 1 else 'they run'} with.{more}",
        "Another version of a library may give other numbers, and the run key does not see it.",
        () if known else (f"pip freeze > {_LOCK}",),
        tuple(lines[:_MOST_LINES]),
    )


def _seed(_facts: Facts, place: Place) -> Remedy | None:
    stages = {
        model.stage.address: (model.pipeline, model.stage) for model in place.models() if not library(model.stage)
    }
    lacking = [(p, s) for p, s in stages.values() if s.seed is None and s.deterministic]
    if not lacking:
        return None
    rows = [place.stage(pipeline, stage, ("seed: 0",), beyond_dvc=True) for pipeline, stage in lacking]
    return Remedy(
        f"No seed is stated for {_named([stage.address.stage for _, stage in lacking])}.",
        "Trainings that differ by chance cannot be told from those that differ by what you changed. The command finds "
        "the seed in RUNNER_SEED; a stage that cannot have one says `deterministic: false`.",
        (),
        tuple(row for row in dict.fromkeys(rows) if row is not None)[:_MOST_LINES],
    )


def _format(_facts: Facts, place: Place) -> Remedy | None:
    lines, names = [], []
    for pipeline, stage in place.stages():
        given = dict(stage.given)
        opened: dict[str, object] = {"format": "skops"} if given.get("format") == "joblib" else {}
        opened |= {"allow_pickle": False} if given.get("allow_pickle") == "true" else {}
        if library(stage) and opened:
            names.append(stage.address.stage)
            row = place.stage(pipeline, stage, (f"with: {flow(opened)}",), beyond_dvc=False)
            lines += [] if row is None else [row]
        elif any(out.kind is OutKind.OUT and out.path.lower().endswith(PICKLES) for out in stage.outs):
            names.append(stage.address.stage)
    if not names:
        return None
    return Remedy(
        f"{_named(names)}: a model is kept or opened as pickle (.joblib, .pkl, .pt).",
        "Opening such a file runs whatever its writer put in. `uses: train` writes skops; else keep safetensors, ONNX.",
        (),
        tuple(dict.fromkeys(lines))[:_MOST_LINES],
    )


def _card(facts: Facts, place: Place) -> Remedy | None:
    models = [model for model in place.models() if model.is_folder]
    if "card" not in facts.builtins or place.uses("card") or not models:
        return None
    name, model = place.stage_name("card"), models[0]
    metrics = [place.shown(path) for path in place.metrics()]
    known: dict[str, object] = {"evaluation": metrics[:1]} if metrics else {}
    given = {"model": place.shown(model.path), **known}
    body = _stages(name, "card", given, (f"outs: [cards/{name}.md: {flow(_UNCACHED)}]",))
    return Remedy(
        "The model has no card.",
        "A card says what a model is for, how good it is and where it fails, from what is recorded.",
        (),
        (place.pipeline(model.pipeline, body),),
    )


# ----- what proves it


def _signing(facts: Facts, place: Place) -> Remedy | None:
    if facts.is_signed or facts.signs or not place.stages():
        return None
    return Remedy(
        "Records are not signed.",
        "Whoever may push can state results that nobody computed.",
        (f"runner keys generate {_KEY}", f"export RUNNER_SIGNING_KEY={_KEY}"),
    )


def _trust(facts: Facts, place: Place) -> Remedy | None:
    if facts.trusts or not (facts.is_signed or facts.signs) or not place.stages():
        return None
    return Remedy(
        "No trust file says on this host whose records count.",
        "Signatures that nobody looks at prove nothing.",
        ("runner keys show",),
    )


def _fairness(_facts: Facts, place: Place) -> Remedy | None:
    models = [model for model in place.models() if model.is_folder]
    if not models or place.uses("fairness"):
        return None
    data = _test_data(place, models[0])
    if data is None:
        return None
    name, model = place.stage_name("fairness"), models[0]
    given = {"model": place.shown(model.path), "data": data, "sensitive": ["COLUMN"]}
    body = _stages(name, "fairness", given, (f"metrics: [{_metrics_file(name)}: {flow(_UNCACHED)}]",))
    return Remedy(
        "Nobody looks whether the model treats groups of people alike. Put in the columns that name them.",
        "A good mean hides a group for which the model is wrong. Where rows are not about people, decline this.",
        (),
        (place.pipeline(model.pipeline, body),),
    )


def _kpis(facts: Facts, place: Place) -> Remedy | None:
    if not place.pipelines or (facts.purpose is not None and facts.purpose.kpis):
        return None
    row = flow({"name": "the figure that counts", "target": 0, "direction": "down"})
    return Remedy(
        "No business figure says what the model is to move.",
        "A better metric is worth what it changes outside.",
        (),
        (place.project(f"{_SPEC}  kpis:\n    - {row}\n"),),
    )


# ----- words that several of them need

_SPEC = "spec:\n"


def _stages(name: str, uses: str, given: Mapping[str, object], more: tuple[str, ...]) -> str:
    """Lines of a pipeline with one more stage of the library."""
    rows = (f"uses: {uses}", f"with: {flow(given)}", *more)
    return f"{_SPEC}  stages:\n    {said(name)}:\n" + "".join(f"      {row}\n" for row in rows)


def _named(stages: list[str]) -> str:
    """The names of stages, or of the first of them."""
    shown = ", ".join(f"`{name}`" for name in stages[:_MOST_LINES])
    return shown if len(stages) <= _MOST_LINES else f"{shown} and {len(stages) - _MOST_LINES} more"


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0] or "data"


def _metrics_file(name: str) -> str:
    return f"reports/{name}.json"


def _name(place: Place) -> str:
    named = place.desired.project.name or next((p.name for p in place.pipelines if p.rendered is not None), "")
    return named or "model"


def _table_for(place: Place, model: Model) -> str | None:
    """The table that a model learns from, else any that stages read."""
    tables = [path for path in model.stage.deps if is_table(path)] or place.tables()
    return place.shown(tables[0]) if tables else None


def _test_data(place: Place, model: Model) -> str | None:
    """The table to judge a model by: what is sealed, else what nothing it builds on reads, else what could be split."""
    sealed = [path for holdout in place.desired.holdouts for path in holdout.paths if is_table(path)]
    found = sealed[0] if sealed else place.unseen(model)
    if found is not None:
        return place.shown(found)
    return _PARTS[1] if _table_for(place, model) is not None else None


def _metric(facts: Facts, place: Place, model: Model) -> str:
    """The metric of a first gate: the objective's, else one that stages of the library write."""
    metrics = [place.shown(path) for path in place.metrics()]
    if facts.purpose is not None and facts.purpose.objective is not None:
        near = facts.purpose.objective.metric
        if near.partition(":")[0] in metrics:
            return near
    file = metrics[0] if metrics else _metrics_file("evaluate") if model.is_folder else "metrics.json"
    return f"{file}:accuracy"


_HOST_PAGE = "SECURITY.md"
PRACTICES: tuple[Practice, ...] = (
    Practice("specs", "docs/specs.md#findings", _specs),
    Practice("secrets", "docs/how-to.md#give-secrets-to-stages", _secrets),
    Practice("remote", "docs/how-to.md#move-to-another-machine", _remote),
    Practice("storage", "docs/how-to.md#work-without-a-dvc-remote-and-add-one-later", _storage),
    Practice("recorded", "docs/commands.md#runner-reconcile", _recorded),
    Practice("contract", "docs/contracts.md", _contract),
    Practice("holdout", "docs/gates.md#the-sealed-hold-out", _holdout),
    Practice("metrics", "docs/stages.md#evaluate", _metrics),
    Practice("gates", "docs/gates.md", _gates),
    Practice("objective", "docs/specs.md#project", _objective),
    Practice("owners", "docs/specs.md#project", _owners),
    Practice("environment", "docs/specs.md#a-stage-in-the-runners-words", _environment),
    Practice("seed", "docs/specs.md#a-stage-in-the-runners-words", _seed),
    Practice("format", "docs/artefacts.md", _format),
    Practice("card", "docs/stages.md#card", _card),
    Practice("signing", "docs/audit.md#set-up-a-key", _signing),
    Practice("trust", "docs/audit.md#say-whom-you-trust", _trust),
    Practice("fairness", "docs/stages.md#fairness", _fairness),
    Practice("kpis", "docs/specs.md#business-figures", _kpis),
    Practice("host", _HOST_PAGE, _host),
)
"""The most valuable first."""
