"""Every hostile case: nothing is run, nothing read outside, nothing left, and what is said is text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import call
from tests.hostile.catalogue import MECHANISMS, every_case
from tests.hostile.ground import Ground
from tests.hostile.kinds import Case, Mechanism


def test_the_corpus_is_as_large_as_it_says() -> None:
    names = [(mechanism.name, case.name) for mechanism, case in every_case()]
    assert len(names) == len(set(names))
    assert len(names) >= 2_500
    assert sum(len(mechanism.chosen()) for mechanism in MECHANISMS.values()) >= 500
    assert len(MECHANISMS) >= 40


@pytest.mark.parametrize("name", MECHANISMS)
def test_it_does_no_harm(name: str, tmp_path: Path) -> None:
    shared = Ground.create(tmp_path / "shared")
    for number, case in enumerate(MECHANISMS[name].chosen()):
        ground = shared if case.prepare is None else Ground.create(tmp_path / str(number))
        _check(MECHANISMS[name], case, ground, every_view=number == 0)


@pytest.mark.parametrize("name", ["hooks", "programs in the configuration", "programs that are named elsewhere"])
def test_no_command_of_a_clone_runs_where_its_working_tree_is_looked_at(name: str, tmp_path: Path) -> None:
    """Without a revision git reads the index, which is where it would ask a program of the clone's what changed."""
    for number, case in enumerate(MECHANISMS[name].chosen()):
        ground = Ground.create(tmp_path / str(number))
        ground.prepared(case)
        (ground.folder / "tmp").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in ground.environment().items():
                patch.setenv(variable, value)
            patch.setattr("tempfile.tempdir", None)
            for words in (["validate"], ["explain", "a"], ["doctor"]):
                answer = call(ground.clone, *words)
                ground.check(answer, f"{case.name}: {words}\n{answer.err}")


def _check(mechanism: Mechanism, case: Case, ground: Ground, *, every_view: bool) -> None:
    rev = ground.prepared(case)
    where = f"{mechanism.name}: {case.name}"
    validated = ground.run("validate", rev)
    assert validated.code in (case.validates if case.validates is not None else case.ends | {0}), (
        f"{where}: validate ended with {validated.code}\n{validated.err[-1500:]}"
    )
    planned = ground.run("plan", "--all", rev, looks_into_cache=case.looks_into_cache)
    said = planned.err + planned.out + validated.err
    assert planned.code in case.ends, f"{where}: plan ended with {planned.code}\n{said[-1500:]}"
    assert case.says in said, f"{where}: nothing said of {case.says!r}\n{said[-1500:]}"
    if every_view:
        for words in (["plan", "--json"], ["plan", "--format", "markdown"]):
            assert ground.run(*words, rev, looks_into_cache=case.looks_into_cache).code in case.ends, where
        diagnosed = ground.run("doctor", rev)
        assert diagnosed.code in {0, *case.ends, validated.code}, f"{where}: {diagnosed.err[-1500:]}"
