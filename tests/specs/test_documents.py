"""Which files hold specs, and what the documents that are not pipelines say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import yaml
from jsonschema import Draft202012Validator

from runner.core.nouns import Project
from runner.core.purpose import Direction, Guard, Kpi, Objective, Owner, Purpose, Series
from runner.git.read import Reader
from runner.resources import schemas_folder
from runner.specs.adopt import initial_specs
from runner.specs.desired import validate
from runner.specs.parse_cache import ParseCache
from runner.specs.schemas import KINDS, schema_text
from tests.cli.command import call
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of

STAGES = "stages:\n  a: {cmd: x}\n"


def pipeline(name: str) -> str:
    return f"apiVersion: runner/v1\nkind: Pipeline\nmetadata: {{name: {name}}}\nspec:\n  stages: {{a: {{cmd: x}}}}\n"


def project(*specs: str) -> str:
    return f"apiVersion: runner/v1\nkind: Project\nspec: {{specs: {json.dumps(specs)}}}\n"


def names(repo: GitRepo) -> list[str]:
    return [found.name for found in desired_of(repo).pipelines]


def test_without_a_project_every_dvc_yaml_and_the_usual_folders_are_read(git_repo: Callable[..., GitRepo]) -> None:
    files = {
        "dvc.yaml": STAGES,
        "sub/dvc.yaml": STAGES,
        "pipelines/one.yaml": pipeline("one"),
        "pipelines/deep/two.yml": pipeline("two"),
        "pipelines/dvc.yaml": STAGES,
        "pipelines/values.yaml": "not: a runner document\n",
        "pipelines/broken.yaml": "neither: [\n",
        "other/three.yaml": pipeline("three"),
        "runner.yaml": pipeline("root"),
    }

    assert names(git_repo({**DVC_PROJECT, **files})) == [
        "dvc.yaml",
        "pipelines/dvc.yaml",
        "sub/dvc.yaml",
        "root",
        "two",
        "one",
    ]


def test_the_globs_of_the_project_say_what_is_read(git_repo: Callable[..., GitRepo]) -> None:
    files = {
        "dvc.yaml": STAGES,
        "team-a/dvc.yaml": STAGES,
        "team-b/x/dvc.yaml": STAGES,
        "other/dvc.yaml": STAGES,
        "specs/one.yaml": pipeline("one"),
        "specs/deep/two.yaml": pipeline("two"),
        "flat/three.yaml": pipeline("three"),
        "flat/deep/four.yaml": pipeline("four"),
        "pipelines/five.yaml": pipeline("five"),
        "runner.yaml": project("team-*/**/dvc.yaml", "specs", "flat/*.yaml", "./dvc.yaml"),
    }

    assert names(git_repo({**DVC_PROJECT, **files})) == [
        "team-a/dvc.yaml",
        "team-b/x/dvc.yaml",
        "dvc.yaml",
        "two",
        "one",
        "three",
    ]


def test_a_file_that_a_glob_names_must_be_a_runner_document(git_repo: Callable[..., GitRepo]) -> None:
    files = {"pipelines/x.yaml": "a: 1\n"}
    repo = git_repo(files)
    assert findings_of(repo) == []

    repo.commit({"runner.yaml": project("pipelines/*.yaml")})
    assert findings_of(repo) == [
        "pipelines/x.yaml:1:1: the key `apiVersion` is missing (start with `apiVersion: runner/v1`)"
    ]


def test_a_repository_without_anything_asks_for_nothing(git_repo: Callable[..., GitRepo]) -> None:
    desired = desired_of(git_repo({"readme": ""}))

    assert (desired.pipelines, desired.project, desired.has_dvc, desired.dvc_root) == ((), Project(), False, ".")


def test_the_project_says_how_the_runner_behaves(git_repo: Callable[..., GitRepo]) -> None:
    text = """\
apiVersion: runner/v1
kind: Project
metadata: {name: churn}
spec:
  branch: prod
  record: {every: 5m, branch: prod}
  trust: {dvcLock: ignore, reuse: none}
  strict: true
  shell: /bin/bash
  protect: true
  objective: Keep customers.
  owners: ['@alice', {name: growth, role: product}]
  cost: {}
"""

    desired = desired_of(git_repo({"runner.yaml": text}))

    assert desired.project == Project(
        name="churn",
        branch="prod",
        record_every_seconds=300.0,
        record_branch="prod",
        accept_dvc_lock=False,
        reuse_proposed=False,
        strict=True,
        shell="/bin/bash",
        protect=True,
        purpose=Purpose(Objective("Keep customers."), (), (Owner("@alice"), Owner("growth", "product"))),
    )
    assert [notice.message for notice in desired.not_handled] == [
        "`cost` of the Project is not handled yet",
    ]


KPIS = """\
apiVersion: runner/v1
kind: Project
spec:
  objective: {statement: Keep customers., metric: 'm.json:auc'}
  kpis:
    - {name: churn, target: 0.03, direction: down, unit: share, guard: 0.05}
    - name: revenue
      target: 100
      direction: up
      source: {file: kpis/revenue.csv, value: euro}
      guard: {worseBy: 2.5, within: 14d}
"""


def test_business_figures_have_what_watching_them_needs(git_repo: Callable[..., GitRepo]) -> None:
    purpose = desired_of(git_repo({"runner.yaml": KPIS})).project.purpose

    churn = Kpi("churn", 0.03, Direction.DOWN, "share", guard=Guard(limit=0.05))
    series = Series("kpis/revenue.csv", "time", "euro")
    revenue = Kpi("revenue", 100, Direction.UP, source=series, guard=Guard(None, 2.5, 14 * 86400.0))
    assert purpose == Purpose(Objective("Keep customers.", "m.json:auc"), (churn, revenue))
    assert Purpose.from_json(json.loads(json.dumps(purpose.as_json()))) == purpose


def test_business_figures_that_say_nothing_sensible_are_findings(git_repo: Callable[..., GitRepo]) -> None:
    wrong = KPIS.replace("guard: 0.05", "guard: 0.01").replace("name: revenue", "name: churn")
    wrong = wrong.replace("target: 100", "target: .inf").replace("within: 14d", "within: 0s")
    assert findings_of(git_repo({"runner.yaml": wrong})) == [
        (
            "runner.yaml:6:65: the guard 0.01 is better than the target 0.03, so it would always stop (name the worst "
            "value that a release may leave)"
        ),
        "runner.yaml:7:7: a second business figure is named `churn` (rename one of them)",
        "runner.yaml:8:7: `target: inf` is no value that a figure can have (write a finite number)",
        "runner.yaml:11:29: `within: 0s` is no time after a release (write a duration above zero, such as `14d`)",
    ]


def test_what_is_not_handled_yet_of_deployments_and_monitors_is_told(
    git_repo: Callable[..., GitRepo],
) -> None:
    deployment, monitor = (json.loads(schema_text(kind))["examples"][0] for kind in ("Deployment", "Monitor"))
    stages = {"train": {"cmd": "x", "outs": ["models/churn"], "metrics": ["metrics.json"]}}
    churn = {
        "apiVersion": "runner/v1",
        "kind": "Pipeline",
        "metadata": {"name": "churn"},
        "spec": {"stages": stages, "on": {}},
    }
    text = yaml.safe_dump_all([churn, deployment, monitor])

    desired = desired_of(git_repo({"runner.yaml": text}))

    assert [notice.message for notice in desired.not_handled] == [
        "`strategy.canary` of the Deployment churn-api is not handled yet",
        "Monitor churn-watch is not handled yet",
        "`on` of the Pipeline churn is not handled yet",
    ]


def test_the_dvc_root_may_be_chosen_among_several(git_repo: Callable[..., GitRepo]) -> None:
    files = {"a/.dvc/config": "", "b/.dvc/config": "", "a/dvc.yaml": STAGES, "b/dvc.yaml": STAGES}
    repo = git_repo({**files, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec: {dvcRoot: b}\n"})

    desired = desired_of(repo)

    assert (desired.dvc_root, [found.name for found in desired.pipelines]) == ("b", ["b/dvc.yaml"])
    assert [notice.message for notice in desired.notices] == ["the DVC project in `a` is left alone"]


def test_a_pipeline_below_the_root_renders_below_the_dvc_root(git_repo: Callable[..., GitRepo]) -> None:
    text = pipeline("p").replace("{cmd: x}", "{cmd: x, deps: [i], outs: [o]}")

    (found,) = desired_of(git_repo({"ml/.dvc/config": "", "ml/i": "", "runner.yaml": text})).pipelines

    assert (found.dvc_file, found.lock_file, found.folder) == (
        "ml/.runner/pipelines/p/dvc.yaml",
        "ml/.runner/pipelines/p/dvc.lock",
        "ml/.runner/pipelines/p",
    )
    assert (found.stages[0].deps, found.stages[0].out_paths, found.stages[0].wdir) == (("ml/i",), ("ml/o",), "ml")


def test_top_level_metrics_and_places_are_kept(git_repo: Callable[..., GitRepo]) -> None:
    files = {"sub/dvc.yaml": "metrics: [m.json]\nstages:\n  a: {cmd: x}\n  b:\n    cmd: y\n"}

    (found,) = desired_of(git_repo({**DVC_PROJECT, **files})).pipelines

    assert found.extra_metrics == ("sub/m.json",)
    assert [str(stage.place) for stage in found.stages] == ["sub/dvc.yaml:3:3", "sub/dvc.yaml:4:3"]


def test_a_group_over_nothing_is_a_notice(git_repo: Callable[..., GitRepo]) -> None:
    desired = desired_of(git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a:\n    foreach: []\n    do: {cmd: x}\n"}))

    assert [f"{notice.place}: {notice.message}" for notice in desired.notices] == [
        "dvc.yaml:2:3: the group `a` makes no stage: it has nothing to iterate over"
    ]


def test_names_that_dvc_loads_are_adopted_though_a_pipeline_may_not_use_them(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  train.v2: {cmd: x}\n"})
    assert [stage.address.stage for stage in desired_of(repo).stages()] == ["train.v2"]

    repo.commit({"runner.yaml": pipeline("p").replace("{a:", "{train.v2:")})
    assert findings_of(repo) == [
        "runner.yaml:5:12: `train.v2` is not a name that can stand here (use letters, digits, hyphens and underscores)"
    ]


def test_validate_gives_the_findings_as_a_list(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"dvc.yaml": "stages: 3\n"})

    with Reader.discover(repo.path) as reader:
        assert [finding.line for finding in validate(reader, repo.head, ParseCache(None))] == [1]


@pytest.mark.parametrize("kind", [*KINDS, "dvc"])
def test_every_schema_is_a_schema_and_its_examples_are_valid(kind: str) -> None:
    schema = json.loads(schema_text(kind))

    Draft202012Validator.check_schema(schema)
    assert schema["examples"]
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)


def test_every_field_of_every_schema_says_what_it_is() -> None:
    def undocumented(schema: object, path: str) -> list[str]:
        if isinstance(schema, list):
            return [found for item in schema for found in undocumented(item, path)]
        if not isinstance(schema, dict):
            return []
        own = [
            f"{path}.{name}"
            for name, field in schema.get("properties", {}).items()
            if isinstance(field, dict) and "$ref" not in field and "description" not in field
        ]
        return own + [
            found
            for key, item in schema.items()
            if key not in ("examples", "if")  # a condition names fields that are described where they stand
            for found in undocumented(item, f"{path}.{key}")
        ]

    files = sorted(schemas_folder().glob("*.json"))

    assert {file.name: undocumented(json.loads(file.read_text()), "") for file in files} == {
        file.name: [] for file in files
    }


def test_the_fewest_lines_adopt_what_is_there(git_repo: Callable[..., GitRepo]) -> None:
    files = {
        ".dvc/config": "",
        "dvc.yaml": STAGES,
        "a b/dvc.yaml": STAGES,
        "sub/.dvc/config": "",
        "sub/dvc.yaml": STAGES,
    }
    text = initial_specs(files)
    assert text == "apiVersion: runner/v1\nkind: Project\nspec:\n  specs:\n  - 'a b/dvc.yaml'\n  - dvc.yaml\n"

    desired = desired_of(git_repo({**files, "runner.yaml": text}))
    assert replace(desired, notices=()).pipelines == desired.pipelines
    assert [found.name for found in desired.pipelines] == ["a b/dvc.yaml", "dvc.yaml"]


def test_many_files_are_adopted_by_a_glob(git_repo: Callable[..., GitRepo]) -> None:
    files = {f"team{index}/dvc.yaml": STAGES for index in range(9)}
    text = initial_specs(files)

    assert "  - '**/dvc.yaml'\n" in text
    assert len(desired_of(git_repo({**DVC_PROJECT, **files, "runner.yaml": text})).pipelines) == 9


def test_the_template_of_an_empty_repository_is_valid_and_so_is_its_example(git_repo: Callable[..., GitRepo]) -> None:
    text = initial_specs(["readme.md"])
    repo = git_repo({"runner.yaml": text})
    assert findings_of(repo) == []

    lines = [line.removeprefix("# ") if line.startswith("# ") else line for line in text.splitlines()[2:]]
    inputs = {"src/prepare.py": "", "src/train.py": "", "data/raw.csv": "", "params.yaml": "train: 1\n"}
    repo.commit({"runner.yaml": "\n".join(lines) + "\n", **inputs})
    assert [stage.address.stage for stage in desired_of(repo).stages()] == ["prepare", "train"]


def test_a_link_in_place_of_a_pipeline_is_a_finding_and_nothing_that_init_adopts(
    git_repo: Callable[..., GitRepo],
) -> None:
    repo = git_repo({**DVC_PROJECT, "conf/p.yaml": "stages: {}\n", ".dvcignore": "old\n", "old/x": "", "sub/x": ""})
    for folder in (".", "old", "sub"):
        (repo.path / folder / "dvc.yaml").symlink_to(repo.path / "conf" / "p.yaml")
    repo.commit({}, "Link")
    told = [f"{path}: `{path}` is a symbolic link, and none is followed (commit the file itself in its place)"
            for path in ("dvc.yaml", "sub/dvc.yaml")]  # fmt: skip
    assert findings_of(repo) == told
    assert call(repo.path, "init", "--yes").code == 0
    assert "dvc.yaml" not in (repo.path / "runner.yaml").read_text().replace("# ", "")
