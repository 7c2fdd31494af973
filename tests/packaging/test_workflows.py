"""The action and the workflows are valid, pinned, and hold no right they do not need."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.packaging.workflows import ROOT, load

WORKFLOWS = sorted(
    str(file.relative_to(ROOT))
    for folder in (".github/workflows", "examples/github")
    for file in (ROOT / folder).iterdir()
)


def steps_of(name: str) -> Iterator[dict[str, Any]]:
    document = load(name)
    if "runs" in document:
        yield from document["runs"]["steps"]
    for job in document.get("jobs", {}).values():
        yield from job["steps"]


@pytest.mark.parametrize(
    ("schema", "names"), [("vendor.github-workflows", WORKFLOWS), ("vendor.github-actions", ["action.yml"])]
)
def test_the_file_is_what_the_vendored_schema_asks_for(schema: str, names: list[str]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [*WORKFLOWS, "action.yml"])
def test_actions_of_others_are_pinned_by_a_full_commit_with_its_version_beside_it(name: str) -> None:
    for line in (ROOT / name).read_text().splitlines():
        found = re.search(r"uses: (\S+)(.*)", line)
        if found is None or found[1].startswith("./"):
            continue
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", found[1]), line
        if not found[1].startswith("OWNER/"):
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", found[2]), line


@pytest.mark.parametrize("name", [*WORKFLOWS, "action.yml"])
def test_no_expression_is_put_into_the_text_of_a_script(name: str) -> None:
    assert [step["run"] for step in steps_of(name) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_only_and_a_job_that_may_write_writes_contents_alone(name: str) -> None:
    document = load(name)
    assert document["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in document["on"]
    granted = [job["permissions"] for job in document["jobs"].values() if "permissions" in job]
    assert granted == ([{"contents": "write"}] if "reconcile" in name else [])


@pytest.mark.parametrize("name", [name for name in WORKFLOWS if "reconcile" in name])
def test_a_reconcile_is_never_cancelled_half_way_and_sees_the_whole_history(name: str) -> None:
    document = load(name)
    assert document["concurrency"]["cancel-in-progress"] == "false"
    assert set(document["on"]) >= {"push", "schedule"}
    assert {"fetch-depth": "0"} in [step.get("with") for step in steps_of(name)]


@pytest.mark.parametrize("name", [name for name in WORKFLOWS if "reconcile" not in name])
def test_a_workflow_that_only_reads_leaves_no_token_behind(name: str) -> None:
    checkouts = [step for step in steps_of(name) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] == "false" for step in checkouts)
