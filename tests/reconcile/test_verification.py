"""What is recorded is run again and compared; what is not deterministic is marked, and its reuse follows policy."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.ledger import layout
from tests.reconcile.keys import Keys
from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import STATE, World, dvc_pull, dvc_status, until
from tests.repositories import git
from tests.saved import Saved

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("untraced")]  # DVC's own warnings

ROOT = Path(__file__).parents[2]
RANDOM = "head -c 16 /dev/urandom | od -An -tx1"
STAGES = f"""\
stages:
  fixed: {{cmd: "echo fixed >> @TRACE@; cp in fixed", deps: [in], outs: [fixed]}}
  random: {{cmd: "echo random >> @TRACE@; {RANDOM} > random", deps: [fixed], outs: [random]}}
  folder:
    cmd: echo folder >> @TRACE@; mkdir folder; cp in folder/a; {RANDOM} > folder/b
    deps: [in]
    outs: [folder]
  timed:
    cmd: echo timed >> @TRACE@; date +%s%N > timed
    deps: [in]
    outs: [timed]
    meta: {{runner: {{deterministic: false}}}}
  metric:
    cmd: |
      echo metric >> @TRACE@
      echo "{{\\"n\\": 3, \\"auc\\": {{\\"us\\": $(od -An -N4 -tu4 /dev/urandom)}}}}" > m.json
    deps: [fixed]
    metrics: [m.json: {{cache: false}}]
  failing: {{cmd: "echo failing >> @TRACE@; test ! -e broken && cp in failing", deps: [in], outs: [failing]}}
"""
FILES = {"dvc.yaml": STAGES, "in": "1\n"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Reconciled once; tests add verifications to it and nothing else."""
    world = World.create(tmp_path_factory.mktemp("world"), FILES, dvc=True)
    world.reconcile()
    world.trace()
    return world


@pytest.fixture(scope="module")
def reconciled(own_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved[World]:
    """The same without a DVC remote, for tests that do more to it."""
    world = World.create(tmp_path_factory.mktemp("reconciled") / "world", FILES)
    world.reconcile()
    return Saved.of(world, world.folder)


def verified(world: World, *words: str, ok: int = 0, **where: Any) -> dict[str, Any]:
    """What `runner verify` says."""
    done = world.runner("verify", "--json", *words, ok=(ok,), **where)
    value: dict[str, Any] = json.loads(done.stdout)
    assert value["exitCode"] == ok
    return value


def results(value: dict[str, Any]) -> dict[str, str]:
    """Stage to how its repetition came out."""
    return {row["stage"]: row["result"] for row in value["runs"]}


def status_of(world: World, stage: str) -> dict[str, Any]:
    """The row of a stage in the status."""
    rows = json.loads(world.runner("status", "--json", ok=(0, 3)).stdout)["stages"]
    return next(row for row in rows if row["stage"] == stage)


def test_what_comes_out_is_compared_recorded_and_shown(world: World) -> None:
    before = world.files()
    standing = {path: world.file(path) for path in before if path.startswith(layout.RECORDED)}
    value = verified(world, "fixed", "random", "folder", "metric", ok=3)
    assert world.trace() == ["fixed", "folder", "metric", "random"]
    assert results(value) == {"fixed": "same", "random": "differs", "folder": "differs", "metric": "differs"}
    rows = {row["stage"]: row for row in value["runs"]}
    assert [out["path"] for out in rows["folder"]["outs"]] == ["folder"]
    [change] = rows["metric"]["metrics"]
    assert (change["name"], change["delta"]) == ("m.json:auc.us", change["now"] - change["recorded"])
    last = world.records()[-1]
    assert (last["sequence"], last["verification"]["runs"]) == (value["record"], value["runs"])
    assert world.tip() == value["commit"]
    assert {path: world.file(path) for path in standing} == standing
    assert set(before) <= set(world.files())
    assert status_of(world, "fixed")["verified"] == {
        "record": value["record"],
        "differed": None,
        "result": "same",
    }
    assert status_of(world, "random")["verified"] == {
        "record": value["record"],
        "differed": value["record"],
        "result": "differs",
    }
    explained = json.loads(world.runner("explain", "metric", "--json").stdout)["verified"]
    assert (explained["record"], explained["result"]) == (value["record"], "differs")
    assert explained["metrics"] == [change]
    assert explained["actor"]
    number = str(value["record"])
    assert "say which one: `runner log" in world.runner("log", number, ok=(1,)).stderr
    told = json.loads(world.runner("log", number, "metric", "--json").stdout)
    assert (told["record"], told["runId"], told["whole"]) == (value["record"], rows["metric"]["runId"], True)
    assert "is not recorded" in world.runner("log", number, "metric", host="b").stderr
    assert f"`runner log {number} dvc.yaml:random`" in world.runner("explain", "random").stdout
    shown = world.runner("runs", "show", number).stdout
    assert f"Record {value['record']}: a verification" in shown
    assert "m.json:auc.us" in shown
    text = world.runner("status").stdout
    assert "verified" in text.splitlines()[3]
    assert all(word in world.runner("explain", "random").stdout for word in ("verified", "differs", "random  "))


def test_a_verified_repository_has_nothing_to_do_and_every_reader_agrees(world: World) -> None:
    before = json.loads(world.runner("plan", "--json", "--out", str(world.folder / "plan.json")).stdout)
    value = verified(world, "--all", ok=3)
    assert set(results(value)) == {"fixed", "random", "folder", "timed", "metric", "failing"}
    after = json.loads(world.runner("plan", "--json").stdout)  # ends with 0: every stage is kept
    assert (after["summary"], after["recordedDigest"]) == (before["summary"], before["recordedDigest"])
    world.runner("apply", str(world.folder / "plan.json"))
    assert world.reconcile().commit is None
    assert world.reconcile(host="b", elsewhere=True).commit is None
    check_ledger(world.remote)
    words = [sys.executable, str(ROOT / "examples/verify/verify.py"), str(world.remote), "runner/state"]
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stderr) == (0, ""), second.stdout
    clone = world.clone("as-dvc-sees-it")
    dvc_pull(clone)
    assert dvc_status(clone) == {}
    listed = json.loads(world.runner("runs", "list", "--json").stdout)["runs"]
    assert len(listed) == 6


def test_nothing_of_a_repetition_stays_but_its_log(world: World) -> None:
    cache = world.repo.path / ".dvc/cache"
    before = sorted(cache.rglob("*")), sorted(world.store.rglob("*"))
    said = world.runner("verify", "random", ok=(3,)).stdout
    assert (sorted(cache.rglob("*")), sorted(world.store.rglob("*"))) == before
    [run] = world.records()[-1]["verification"]["runs"]
    log = f"runner log {world.records()[-1]['sequence']}"
    assert f"`{log}` shows what the repetition printed." in said
    assert "random printed nothing" in world.runner(*log.split()[1:]).stderr
    assert [file.stem for file in world.home("a").glob(f"r/*/logs/{run['runId']}.log")] == [run["runId"]]


def test_without_record_nothing_is_written(world: World) -> None:
    tip = world.tip()
    value = verified(world, "--no-record", "random", ok=3)
    assert (value["record"], value["commit"], world.tip()) == (None, None, tip)
    assert "not recorded" in world.runner("verify", "--no-record", "fixed").stdout


def test_what_is_declared_is_no_complaint(world: World) -> None:
    value = verified(world, "timed")
    assert (results(value), value["runs"][0]["declared"]) == ({"timed": "differs"}, True)
    assert "differs, as declared" in world.runner("verify", "timed", "--no-record").stdout
    assert (status_of(world, "timed")["deterministic"], status_of(world, "random")["deterministic"]) == (False, True)
    assert "deterministic  no: the spec says that" in world.runner("explain", "timed").stdout


def test_a_mark_stays_when_the_same_comes_out_at_another_time(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    stages = f"stages:\n  a: {{cmd: 'if [ -e {flag} ]; then echo 2 > a; else cp in a; fi', deps: [in], outs: [a]}}\n"
    world = World.create(tmp_path / "world", {"dvc.yaml": stages, "in": "1\n"})
    world.reconcile()
    flag.touch()
    differed = verified(world, "a", ok=3)["record"]
    flag.unlink()
    newest = verified(world, "a")["record"]
    assert status_of(world, "a")["verified"] == {"record": newest, "differed": differed, "result": "same"}
    assert json.loads(world.runner("explain", "a", "--json").stdout)["verified"]["record"] == differed
    world.edit({"in": "2\n"})
    world.reconcile()  # another key, of which nothing is known
    assert status_of(world, "a")["verified"] is None
    check_ledger(world.remote)


def test_a_repetition_that_fails_marks_nothing(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    stages = f"stages:\n  a: {{cmd: 'cp in a; test ! -e {flag}', deps: [in], outs: [a]}}\n"
    world = World.create(tmp_path / "world", {"dvc.yaml": stages, "in": "1\n"})
    world.reconcile()
    flag.touch()
    value = verified(world, "a", ok=3)
    assert value["runs"][0]["outcome"] == {"reason": "failed", "message": "exit code 1", "exitCode": 1, "signal": None}
    assert status_of(world, "a")["verified"] == {"record": value["record"], "differed": None, "result": "failed"}
    assert "failed" in next(line for line in world.runner("status").stdout.splitlines() if line.split()[:1] == ["a"])
    check_ledger(world.remote)


def test_a_run_of_another_commit_is_verified_at_the_one_that_is_desired(tmp_path: Path) -> None:
    stages = "stages:\n  a: {cmd: cat in beside > a, deps: [in], outs: [a]}\n"  # reads what it does not declare
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n", "beside": "1\n"})
    world.reconcile()
    verified(world, "a")
    desired = world.edit({"beside": "2\n"})
    assert world.plan() == {"a": "keep"}
    done = world.runner("verify", "a", "--no-record", ok=(3,))
    [named] = re.findall(r"What the repetition of dvc.yaml:a printed is in (/.+\.log)\n", done.stdout)
    assert Path(named).is_file()
    assert "Where `runner replay 1` leaves the same bytes, the stage reads something that it does not" in done.stdout
    world.runner("replay", "1")
    value = verified(world, "a", ok=3)
    assert (value["desired"], world.records()[-1]["verification"]["desired"]) == (desired, desired)
    assert world.reconcile().actions == {"a": "keep"}
    check_ledger(world.remote)


ODD = """\
stages:
  frozen: {cmd: cp in frozen, deps: [in], outs: [frozen]}
  always: {cmd: cp in always, always_changed: true, deps: [in], outs: [always]}
  persist: {cmd: cat in >> persist, deps: [in], outs: [persist: {persist: true}]}
  silent: {cmd: cat in, deps: [in]}
  secret: {cmd: 'cp in secret; test -n "$TOKEN"', deps: [in], outs: [secret], meta: {runner: {secrets: [TOKEN]}}}
  first: {cmd: cp in first, deps: [in], outs: [first]}
  second: {cmd: cp first second, deps: [first], outs: [second]}
"""


def test_what_cannot_be_verified_is_named_with_the_reason(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": ODD, "in": "1\n"})
    world.environ["TOKEN"] = "hush-hush-hush"
    world.reconcile()
    world.edit({"dvc.yaml": ODD.replace("outs: [frozen]}", "outs: [frozen], frozen: true}")})
    world.reconcile()
    del world.environ["TOKEN"]
    world.forget_cache()
    tip = world.tip()
    names = ["frozen", "always", "persist", "silent", "secret", "second"]
    value = verified(world, *names, ok=4)  # the last two are this host's fault
    reasons = {row["stage"]: row["reason"] for row in value["skipped"]}
    wanted = {
        "frozen": "frozen",
        "always": "for each commit",
        "persist": "persist",
        "silent": "no outputs",
        "secret": "TOKEN",
        "second": "bytes of first",
    }
    assert {name: word in reasons[name] for name, word in wanted.items()} == dict.fromkeys(wanted, True), reasons
    assert (value["runs"], value["record"], world.tip()) == ([], None, tip)
    assert "first" not in [row["stage"] for row in world.records()[-1].get("verification", {}).get("runs", [])]
    value = verified(world, "frozen", ok=1)
    assert value["skipped"][0]["reason"] == "it is frozen"
    world.edit({"in": "2\n"})
    assert "the plan says run" in verified(world, "first", ok=1)["skipped"][0]["reason"]


def test_evidence_that_never_ran_here_cannot_be_verified(tmp_path: Path) -> None:
    stages = "stages:\n  a: {cmd: cp in a, deps: [in], outs: [a]}\n"
    one = World.create(tmp_path / "one", {"dvc.yaml": stages, "in": "1\n"})
    one.reconcile()
    two = World.create(tmp_path / "two", {"dvc.yaml": stages, "in": "1\n", "dvc.lock": one.file("dvc.lock")})
    two.reconcile()
    assert "dvc.lock@" in verified(two, "a", ok=1)["skipped"][0]["reason"]


def test_usage_is_told(world: World, tmp_path: Path) -> None:
    assert "which stages are meant" in world.runner("verify", ok=(1,)).stderr
    assert "which stages are meant" in world.runner("verify", "--all", "fixed", ok=(1,)).stderr
    assert "there is no stage fixd" in world.runner("verify", "fixd", ok=(1,)).stderr
    fresh = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    assert "nothing is recorded yet" in fresh.runner("verify", "fixed", ok=(1,)).stderr


def test_on_the_watched_branch_itself_a_verification_is_the_next_commit(tmp_path: Path) -> None:
    project = "apiVersion: runner/v1\nkind: Project\nspec:\n  record: {branch: main}\n"
    world = World.create(tmp_path, {**FILES, "runner.yaml": project})
    world.reconcile()
    value = verified(world, "random", ok=3)
    assert world.tip("main") == value["commit"]
    assert git(world.remote, "log", "-1", "--format=%s", "main").startswith("Verify ")
    assert world.reconcile().commit is None
    check_ledger(world.remote, "main")


def gated(folder: Path) -> dict[str, str]:
    """Two stages, of which `slow` says that it has begun and goes on once the file `gate` is gone."""
    slow = f"touch {folder}/begun; while [ -e {folder}/gate ]; do sleep 0.05; done; cp in slow"
    stages = f"stages:\n  slow: {{cmd: '{slow}', deps: [in], outs: [slow]}}\n"
    return {
        "dvc.yaml": stages + "  quick: {cmd: cp other quick, deps: [other], outs: [quick]}\n",
        "in": "1\n",
        "other": "1\n",
    }


def begun(folder: Path) -> bool:
    """Whether `slow` has begun since the last look."""
    try:
        (folder / "begun").unlink()
    except FileNotFoundError:
        return False
    return True


def verifications(world: World) -> list[str]:
    """Names of the stages that were verified, in order."""
    if world.tip() is None:
        return []
    rows = [record["verification"]["runs"] for record in world.records() if "verification" in record]
    return [row["stage"] for each in rows for row in each]


def test_a_verification_that_lost_a_race_is_recorded_on_top_of_the_winner(tmp_path: Path) -> None:
    world = World.create(tmp_path, gated(tmp_path))
    world.reconcile()
    begun(tmp_path)
    (tmp_path / "gate").touch()
    process = world.start("verify", "slow", "--json")
    until(lambda: begun(tmp_path), 120)
    world.edit({"other": "2\n"})
    world.reconcile(host="b", elsewhere=True)
    (tmp_path / "gate").unlink()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out)["record"] == len(world.records())  # the last one, behind those of the winner
    assert verifications(world) == ["slow"]
    check_ledger(world.remote)


def test_a_verification_that_is_stopped_records_nothing(tmp_path: Path) -> None:
    world = World.create(tmp_path, gated(tmp_path))
    world.reconcile()
    begun(tmp_path)
    (tmp_path / "gate").touch()
    tip = world.tip()
    process = world.start("verify", "quick", "slow", "--json")
    until(lambda: begun(tmp_path), 120)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, json.loads(out)["runs"]) == (143, []), err
    assert world.tip() == tip
    assert world.reconcile().commit is None


def test_a_daemon_verifies_in_quiet_times_what_was_not_verified_for_longest(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    log = tmp_path / "daemon.log"
    process = world.start("daemon", "--interval", "0.05s", "--verify-sample", "360000/h", "--json", log=log)
    until(lambda: len(verifications(world)) >= 8, 180)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
    names = verifications(world)
    assert sorted(names[:5]) == ["failing", "fixed", "folder", "metric", "random"]  # `timed` says that it may differ
    rest = names[5:8]  # what is marked is not verified again
    assert set(rest) <= {"failing", "fixed"}
    assert rest[0] != rest[1] != rest[2]
    said = log.read_text()
    assert "verified dvc.yaml:random, record " in said
    assert "differs: random; recorded as record " in said
    assert '"result": "same"' in said
    assert re.search(r"stopped after \d+ rounds: 1 did something, 0 failed; \d+ recorded runs verified$", said.rstrip())
    assert world.reconcile(host="b", elsewhere=True).commit is None
    check_ledger(world.remote)


def test_how_often_counts_for_the_repository_and_not_for_the_daemon(reconciled: Saved[World]) -> None:
    world = reconciled.again()
    for host in ("a", "b", "a"):
        world.runner("daemon", "--once", "--verify-sample", "1/day", "--repo", str(world.remote), host=host)
    assert len(verifications(world)) == 1


def test_a_new_commit_and_a_stop_end_a_repetition_and_it_is_forgotten(tmp_path: Path) -> None:
    world = World.create(tmp_path, gated(tmp_path))
    world.reconcile()
    begun(tmp_path)
    (tmp_path / "gate").touch()
    log = tmp_path / "daemon.log"
    process = world.start("daemon", "--interval", "0.1s", "--verify-sample", "360000/h", log=log)
    until(lambda: begun(tmp_path), 120)
    commit = world.edit({"other": "2\n"})
    until(lambda: any(run["desired"] == commit for run in world.runs()), 120)
    assert "stopped verifying dvc.yaml:slow: something new is there" in log.read_text()
    until(lambda: begun(tmp_path), 120)  # quiet again
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
    assert "slow" not in verifications(world)
    (tmp_path / "gate").unlink()
    world.runner("daemon", "--once", "--verify-sample", "360000/h")
    assert world.reconcile().commit is None
    check_ledger(world.remote)


@pytest.mark.parametrize("rate", ["4", "0/h", "4/week", "x/h", "4/h/h"])
def test_a_rate_that_is_none_is_told(rate: str, world: World) -> None:
    done = world.runner("daemon", "--once", "--verify-sample", rate, ok=(1,))
    assert f"{rate} is no rate; say 4/h or 10/day" in done.stderr


def test_who_may_not_push_is_told_what_came_out_all_the_same(reconciled: Saved[World]) -> None:
    world = reconciled.again()
    tip = world.tip()
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    done = world.runner("verify", "--json", "fixed", ok=(4,))
    value = json.loads(done.stdout)
    assert (results(value), value["record"], world.tip()) == ({"fixed": "same"}, None, tip)
    assert "the remote refused runner/state" in done.stderr
    done = world.runner("daemon", "--once", "--verify-sample", "4/h", cwd=world.repo.path)
    assert "the remote refused runner/state" in done.stderr
    hook.unlink()
    world.runner("verify", "--json", "fixed")
    check_ledger(world.remote)


TAKES_AND_REFUSES = """\
#!/bin/sh
while read old new ref; do
  [ "$ref" = refs/heads/runner/state ] || continue
  test -e once && exit 0
  touch once
  cp -R "$GIT_QUARANTINE_PATH/." objects/
  unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
  git update-ref "$ref" "$new" "$old"
done
"""
"""Has the branch move just before git looks, so that who pushed hears that somebody else was faster."""


def test_a_verification_that_arrived_without_our_hearing_of_it_is_recorded_once(reconciled: Saved[World]) -> None:
    world = reconciled.again()
    count = len(world.records())
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(TAKES_AND_REFUSES)
    hook.chmod(0o755)
    value = verified(world, "fixed")
    assert (world.remote / "once").exists()
    assert [record["sequence"] for record in world.records()[count:]] == [count + 1]
    assert (value["record"], value["commit"]) == (count + 1, world.tip())
    value = verified(world, "fixed")  # another one is another record
    assert (value["record"], len(world.records())) == (count + 2, count + 2)
    check_ledger(world.remote)


def test_of_a_verification_that_could_not_be_recorded_nobody_says_that_it_is_kept(reconciled: Saved[World]) -> None:
    world = reconciled.again()
    verified(world, "fixed")
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(TAKES_AND_REFUSES.replace('"$new" "$old"', '"$old^"'))  # rewritten meanwhile
    hook.chmod(0o755)
    done = world.runner("verify", "--json", "fixed", ok=(6,))
    assert json.loads(done.stdout)["record"] is None
    assert "was rewritten meanwhile" in done.stderr
    assert "nothing is recorded" in done.stderr
    assert "kept on this host" not in done.stderr


def test_with_a_trust_file_a_verification_is_built_on_and_its_index_cannot_be_forged(tmp_path: Path) -> None:
    world, keys = World.create(tmp_path / "world", {"dvc.yaml": STAGES, "in": "1\n"}, dvc=True), Keys(tmp_path)
    keys.trusted(world, {"runner": ""})
    world.environ["RUNNER_TRUST"] = str(keys.trust)
    keys.made(world, "mallory")
    keys.signs(world, "runner")
    world.reconcile()
    for stage, code in (("random", 3), ("fixed", 0), ("fixed", 0)):
        verified(world, stage, ok=code)
    for host in ("a", "fresh"):
        assert world.reconcile(host=host).commit is None
    world.edit({"in": "2\n"})
    world.reconcile(host="fresh")  # it knows of nothing before the last verification
    verified(world, "random", ok=3)
    keys.signs(world, "mallory")
    tip = world.tip()
    assert "would sign record" in world.runner("verify", "fixed", ok=(1,)).stderr
    keys.signs(world, "runner")
    assert world.tip() == tip
    clone = world.clone("forger")
    for file in (clone / layout.VERIFIED).iterdir():
        file.write_text("".join(f"{line.rsplit(' ', 1)[0]} -\n" for line in file.read_text().splitlines()))
    git(clone, "add", "--all", "--force")
    git(clone, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--amend", "--no-edit")
    git(clone, "push", "--quiet", "--force", "origin", f"HEAD:{STATE}")
    assert world.reconcile(host="fresh", ok=(6,)).code == 6
    code = world.runner("audit", "verify", STATE, "--trust", str(keys.trust), cwd=clone, ok=(13,)).returncode
    assert code == 13


def test_a_host_that_never_looked_holds_where_somebody_took_marks_away_or_made_some_up(tmp_path: Path) -> None:
    world, keys = World.create(tmp_path / "world", {"dvc.yaml": STAGES, "in": "1\n"}, dvc=True), Keys(tmp_path)
    keys.trusted(world, {"runner": ""})
    world.environ["RUNNER_TRUST"] = str(keys.trust)
    keys.signs(world, "runner")
    world.reconcile()
    for stage, code in (("random", 3), ("fixed", 0), ("random", 3)):
        verified(world, stage, ok=code)
    good = str(world.tip())
    assert world.reconcile(host="fresh").commit is None

    def forged(change: Callable[[str], str], *options: str) -> str:
        clone = world.clone(f"forger{len(list(world.folder.glob('forger*')))}")
        for file in (clone / layout.VERIFIED).iterdir():
            text = "".join(map(change, file.read_text().splitlines()))
            _ = file.write_text(text) if text else file.unlink()
        git(clone, "add", "--all", "--force")
        git(clone, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", *options)
        git(clone, "push", "--quiet", "--force", "origin", f"HEAD:{STATE}")
        told = world.reconcile(host="fresh2", ok=(6,))
        git(world.remote, "update-ref", f"refs/heads/{STATE}", good)
        return told.err

    told = forged(lambda _line: "", "--message", "Verify")
    assert "changes files and appends no record" in told
    assert "restore the branch" in told
    amended = ("--amend", "--no-edit")
    said = "does not say what the verifications of"
    assert said in forged(lambda line: f"{line.rsplit(' ', 1)[0]} -\n", *amended)
    assert said in forged(lambda line: f"{line.rsplit(' ', 1)[0]} {line.split()[1]}\n", *amended)
    assert said in forged(lambda line: f"{line.split()[0]} 1 -\n", *amended)
    assert said in forged(lambda line: f"{line.split()[0]} 999 -\n", *amended)
    assert world.reconcile(host="fresh2").commit is None
