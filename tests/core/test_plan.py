"""The planner's decisions, one axis at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from runner.core.digests import folder_digest, md5_hex
from runner.core.nouns import Address, EnvironmentSpec, LockEntry, LockOut, Out, Param, TrackedData, Trust
from runner.core.plan import Wishes, make_plan
from runner.core.recorded import Hit, Verified
from tests.core.facts import COMMIT, FakeInputs, FakeRecorded, World, desired, stage


@pytest.fixture
def world() -> World:
    """Three stages in a row, and one beside them."""
    stages = (
        stage("prepare", ["src/prepare.py", "raw.csv"], ["train.csv"]),
        stage("train", ["train.csv"], ["model"], [Param("params.yaml", "lr")]),
        stage("evaluate", ["model"], ["metrics.json"]),
        stage("report", ["notes.md"], ["report.html"]),
    )
    files = {"src/prepare.py": b"1", "raw.csv": b"2", "notes.md": b"3"}
    return World(desired(*stages), FakeInputs(files, {"params.yaml": {"lr": 0.1}}))


def test_at_first_what_has_its_inputs_runs_and_the_rest_waits(world: World) -> None:
    assert world.actions() == {"prepare": "run", "train": "wait", "evaluate": "wait", "report": "run"}


def test_what_has_run_is_kept(world: World) -> None:
    world.run_all()
    assert world.plan().is_empty


def test_a_changed_file_runs_its_stage_and_those_behind_it_wait(world: World) -> None:
    world.run_all()
    world.inputs.files["raw.csv"] = b"new"
    assert world.actions() == {"prepare": "run", "train": "wait", "evaluate": "wait", "report": "keep"}


def test_a_changed_parameter_says_from_what_to_what(world: World) -> None:
    world.run_all()
    world.inputs.values["params.yaml"] = {"lr": 0.2}
    step = next(step for step in world.plan().steps if step.address.stage == "train")
    assert step.reasons == ("param params.yaml:lr: 0.1 → 0.2",)


def test_an_output_that_comes_out_the_same_stops_the_change_there(world: World) -> None:
    world.run_all()
    world.inputs.files["raw.csv"] = b"new"
    assert world.run_all() == ["prepare"]


def test_an_edit_that_is_taken_back_plans_to_nothing_that_runs(world: World) -> None:
    world.run_all()
    world.inputs.files["raw.csv"] = b"new"
    world.run_all(content="other")
    world.inputs.files["raw.csv"] = b"2"
    assert set(world.actions().values()) <= {"keep", "reuse"}


def test_the_same_key_under_another_name_is_reused(world: World) -> None:
    world.run_all()
    renamed = [
        replace(s, address=Address("p", "fit")) if s.address.stage == "train" else s for s in world.wanted.stages()
    ]
    world.wanted = desired(*renamed)
    assert world.actions() == {
        "prepare": "keep",
        "fit": "reuse",
        "evaluate": "keep",
        "report": "keep",
        "train": "remove",
    }


def test_a_key_that_failed_stays_failed_until_somebody_asks(world: World) -> None:
    walk = world.walk()
    step = walk.decide(world.wanted.stages()[0])
    assert step.key is not None
    world.recorded.hits[step.key] = Hit(step.key, False, "", 7, step.address, why="failed before: exit code 1")
    assert world.actions()["prepare"] == "failed"
    assert world.actions()["train"] == "wait"
    assert world.actions(Wishes(COMMIT, retry=None))["prepare"] == "run"
    assert world.actions(Wishes(COMMIT, retry=frozenset({step.address})))["prepare"] == "run"


def test_a_stage_that_is_gone_is_removed(world: World) -> None:
    world.run_all()
    world.wanted = desired(*world.wanted.stages()[:3])
    assert world.actions()["report"] == "remove"


def test_only_targets_and_what_they_need_are_planned(world: World) -> None:
    assert world.actions(Wishes(COMMIT, targets=frozenset({Address("p", "train")}))) == {
        "prepare": "run",
        "train": "wait",
    }


def test_a_dep_that_is_nowhere_is_a_finding(world: World) -> None:
    del world.inputs.files["raw.csv"]
    walk = world.walk()
    make_plan(walk, None)
    assert [f.message for f in walk.findings] == [
        "stage prepare: dep raw.csv is neither in git nor tracked by DVC nor made by a stage"
    ]


def test_a_parameter_that_is_missing_is_a_finding(world: World) -> None:
    world.inputs.values["params.yaml"] = {}
    world.inputs.files["train.csv"] = b""
    world.wanted = desired(stage("train", ["train.csv"], ["model"], [Param("params.yaml", "lr")]))
    walk = world.walk()
    make_plan(walk, None)
    assert [f.message for f in walk.findings] == ["stage train: parameter lr is not in params.yaml"]


@pytest.mark.parametrize("values", [{"lr": 1}, {"lr": 1.0}, {"lr": "1"}, {"lr": True}], ids=str)
def test_values_of_different_types_are_different_values(world: World, values: dict[str, object]) -> None:
    keys = set()
    for value in (values["lr"], [values["lr"]], 2):
        world.inputs.values["params.yaml"] = {"lr": value}
        walk = world.walk()
        walk.decide(world.wanted.stages()[0])
        walk.settle(Address("p", "prepare"), [])
        walk.outs[Address("p", "prepare")] = {"train.csv": _fact("train.csv")}
        keys.add(walk.decide(world.wanted.stages()[1]).key)
    assert len(keys) == 3


def test_a_frozen_stage_keeps_its_result_whatever_changes(world: World) -> None:
    world.run_all()
    frozen = [replace(s, frozen=True) if s.address.stage == "train" else s for s in world.wanted.stages()]
    world.wanted = desired(*frozen)
    world.inputs.values["params.yaml"] = {"lr": 9}
    assert set(world.actions().values()) == {"keep"}


def test_a_frozen_stage_that_never_ran_is_a_finding(world: World) -> None:
    world.wanted = desired(stage("train", ["raw.csv"], ["model"], frozen=True))
    walk = world.walk()
    make_plan(walk, None)
    assert "is frozen and has never run" in walk.findings[0].message


def test_an_always_changed_stage_runs_once_for_each_commit(world: World) -> None:
    world.wanted = desired(stage("fetch", outs=["data"], always_changed=True))
    world.run_all()
    assert world.actions() == {"fetch": "keep"}
    assert world.actions(Wishes(occasion="d" * 40)) == {"fetch": "run"}


def test_an_input_outside_the_repository_needs_a_probe(world: World) -> None:
    world.wanted = desired(stage("fetch", ["s3://bucket/raw"], ["data"]))
    assert world.actions() == {"fetch": "probe"}
    world.inputs.learn("s3://bucket/raw", "etag:1")
    assert world.actions() == {"fetch": "run"}


def test_a_file_inside_an_output_folder_is_known_by_the_recorded_listing() -> None:
    members = (("a.csv", md5_hex(b"a")), ("b.csv", md5_hex(b"b")))
    folder = folder_digest(members)
    stages = (stage("split", ["raw"], ["parts"]), stage("use", ["parts/a.csv"], ["out"]))
    world = World(desired(*stages), FakeInputs({"raw": b"1"}), FakeRecorded())
    walk = world.walk()
    walk.decide(stages[0])
    walk.settle(stages[0].address, [_fact("parts", folder)])
    assert walk.decide(stages[1]).action.value == "unknown"
    world.recorded.listings[folder] = members
    step = walk.decide(stages[1])
    assert step.material is not None
    assert step.material.deps == (("parts/a.csv", md5_hex(b"a")),)


def test_a_folder_with_files_of_git_and_outputs_is_one_listing() -> None:
    stages = (stage("make", ["raw"], ["data/made.csv"]), stage("use", ["data"], ["out"]))
    world = World(desired(*stages), FakeInputs({"raw": b"1", "data/git.csv": b"2"}))
    walk = world.walk()
    walk.decide(stages[0])
    walk.settle(stages[0].address, [_fact("data/made.csv", md5_hex(b"3"))])
    step = walk.decide(stages[1])
    assert step.material is not None
    members = [("git.csv", md5_hex(b"2")), ("made.csv", md5_hex(b"3"))]
    assert step.material.deps == (("data", folder_digest(members)),)


def test_tracked_data_is_an_input_by_the_digest_of_its_dvc_file() -> None:
    data = TrackedData("raw.csv", "0" * 32, "raw.csv.dvc")
    world = World(desired(stage("use", ["raw.csv"], ["out"]), tracked={"raw.csv": data}), FakeInputs())
    step = world.plan().steps[0]
    assert step.material is not None
    assert step.material.deps == (("raw.csv", "0" * 32),)


def test_parameters_of_a_file_that_a_stage_makes_are_read_from_what_is_recorded() -> None:
    stages = (stage("tune", ["raw"], ["best.json"]), stage("fit", (), ["model"], [Param("best.json", "made")]))
    world = World(desired(*stages), FakeInputs({"raw": b"1"}))
    walk = world.walk()
    assert walk.decide(stages[0]).action.value == "run"
    assert walk.decide(stages[1]).action.value == "wait"
    digest = md5_hex(b"0.5")
    walk.settle(stages[0].address, [_fact("best.json", digest)])
    world.recorded.objects[digest] = b"0.5"
    step = walk.decide(stages[1])
    assert step.material is not None
    assert step.material.params == (("best.json", "made", "0.5"),)


def test_a_committed_lock_that_matches_is_evidence_and_not_our_own() -> None:
    wanted = _with_lock(stage("use", ["raw"], ["out"]), md5_hex(b"1"))
    world = World(wanted, FakeInputs({"raw": b"1"}))
    step = world.plan().steps[0]
    assert step.action.value == "keep"
    assert step.changed
    assert step.entry is not None
    assert step.entry.provenance == f"dvc.lock@{COMMIT}"


def test_a_committed_lock_of_other_inputs_is_no_evidence() -> None:
    world = World(_with_lock(stage("use", ["raw"], ["out"]), md5_hex(b"old")), FakeInputs({"raw": b"1"}))
    step = world.plan().steps[0]
    assert step.action.value == "run"
    assert step.reasons == ("dep raw changed (since dvc.lock)",)


def test_locks_are_ignored_where_the_project_says_so() -> None:
    wanted = _with_lock(stage("use", ["raw"], ["out"]), md5_hex(b"1"))
    wanted = replace(wanted, project=replace(wanted.project, accept_dvc_lock=False))
    assert World(wanted, FakeInputs({"raw": b"1"})).actions() == {"use": "run"}


@pytest.mark.parametrize(
    "more",
    [
        {"environment": EnvironmentSpec("requirements.txt")},
        {"env": (("A", "1"),)},
        {"seed": 1},
        {"params": [Param("params.yaml", "net.size")]},
    ],
    ids=["environment", "env", "seed", "size"],
)
def test_a_lock_cannot_vouch_for_what_dvc_does_not_know(more: dict[str, object]) -> None:
    one = stage("use", ["raw"], ["out"], **more)  # type: ignore[arg-type] - the axes of the test
    files = {"raw": b"1", "requirements.txt": b""}
    world = World(_with_lock(one, md5_hex(b"1")), FakeInputs(files, {"params.yaml": {"net.size": 1}}))
    assert world.actions() == {"use": "run"}


def test_a_persist_output_is_not_taken_from_another_branch() -> None:
    world = World(desired(stage("grow", ["raw"], [Out("model", persist=True)])), FakeInputs({"raw": b"1"}))
    step = world.plan().steps[0]
    assert step.key is not None
    world.recorded.hits[step.key] = Hit(step.key, True, "runner/proposed/x", 3, step.address, (_fact("model"),))
    assert world.actions() == {"grow": "run"}


@pytest.mark.parametrize(
    ("declared", "differed", "policy", "action"),
    [
        (True, None, "sameBranch", "run"),
        (False, 7, "sameBranch", "run"),
        (False, None, "sameBranch", "reuse"),
        (True, 7, "accept", "reuse"),
    ],
)
def test_what_is_not_deterministic_is_taken_over_from_elsewhere_as_policy_says(
    declared: bool, differed: int | None, policy: str, action: str
) -> None:
    wanted = desired(stage("use", ["raw"], ["out"], deterministic=not declared))
    wanted = replace(wanted, project=replace(wanted.project, accept_nondeterministic=policy == "accept"))
    world = World(wanted, FakeInputs({"raw": b"1"}))
    step = world.plan().steps[0]
    assert step.key is not None
    world.recorded.verifications[step.key] = Verified(8, differed)
    world.recorded.hits[step.key] = Hit(step.key, True, "runner/proposed/x", 3, step.address, (_fact("out"),))
    assert world.actions() == {"use": action}
    assert world.plan().steps[0].own_only == (action == "run")
    world.recorded.hits[step.key] = Hit(step.key, True, "", 3, step.address, (_fact("out"),))
    assert world.actions() == {"use": "reuse"}  # what ran on this branch counts, whatever the policy


@pytest.mark.parametrize("persist", [True, False])
def test_a_failure_here_counts_where_a_success_elsewhere_does_not(persist: bool) -> None:
    """Or it would be tried again at every reconcile."""
    one = stage("use", ["raw"], [Out("out", persist=persist)], deterministic=persist)
    wanted = desired(one)
    wanted = replace(wanted, project=replace(wanted.project, accept_nondeterministic=False))
    world = World(wanted, FakeInputs({"raw": b"1"}))
    key = world.plan().steps[0].key
    assert key is not None
    elsewhere = Hit(key, True, "runner/proposed/x", 3, one.address, (_fact("out"),))
    own = FakeRecorded(hits={key: Hit(key, False, "", 5, one.address, why="failed before: exit code 1")})
    world.recorded = Beside(hits={key: elsewhere}, own=own)
    assert world.actions() == {"use": "failed"}
    assert world.actions(Wishes(COMMIT, retry=None)) == {"use": "run"}


@dataclass
class Beside(FakeRecorded):
    """A ledger of our own beside others."""

    own: FakeRecorded = field(default_factory=FakeRecorded)

    def find_here(self, key: str) -> Hit | None:
        return self.own.find(key)


def test_a_lock_does_not_vouch_where_only_own_runs_count() -> None:
    wanted = _with_lock(stage("use", ["raw"], ["out"], deterministic=False), md5_hex(b"1"))
    assert World(wanted, FakeInputs({"raw": b"1"})).actions() == {"use": "keep"}
    wanted = replace(wanted, project=replace(wanted.project, accept_nondeterministic=False))
    assert World(wanted, FakeInputs({"raw": b"1"})).actions() == {"use": "run"}


def test_secrets_are_for_trusted_runs_alone() -> None:
    one = stage("fetch", ["raw"], ["out"], secrets=("TOKEN",))
    world = World(desired(one), FakeInputs({"raw": b"1"}))
    assert world.walk().decide(one).action.value == "run"
    assert world.walk(trust=Trust.PROPOSED).decide(one).action.value == "unknown"


def test_what_is_not_handled_yet_is_said_and_not_run() -> None:
    one = stage("train", ["raw"], ["out"], not_handled=("image",))
    step = World(desired(one), FakeInputs({"raw": b"1"})).plan().steps[0]
    assert (step.action.value, step.reasons) == ("unknown", ("not handled yet: image",))


def test_equal_facts_give_an_equal_digest_and_other_facts_another(world: World) -> None:
    first = world.plan().recorded_digest
    assert world.plan().recorded_digest == first
    world.run_all()
    assert world.plan().recorded_digest != first


def _fact(path: str, md5: str = "0" * 32):  # type: ignore[no-untyped-def]
    from runner.core.recorded import OutFact

    return OutFact(path, md5)


def _with_lock(one, digest: str):  # type: ignore[no-untyped-def]
    params: dict[str, dict[str, object]] = {}
    for param in one.params:
        params.setdefault(param.file, {})[param.key] = 1
    lock = LockEntry(one.cmd, False, {"raw": f"md5:{digest}"}, params, (LockOut("out", "1" * 32),), {})
    return desired(one, locks={one.address: lock})
