"""What a stage may say of itself, and what a reconcile makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, dvc_pull, dvc_status
from tests.repositories import git

STAGES = """\
stages:
  good:
    cmd: echo good >> @TRACE@; echo 1 > good
    outs: [good]
    deps: [in]
  bad:
    cmd: echo bad >> @TRACE@; echo words that help; exit 3
    outs: [bad]
    deps: [in]
  after:
    cmd: echo after >> @TRACE@; cp bad after
    outs: [after]
    deps: [bad]
  sibling:
    cmd: echo sibling >> @TRACE@; cp good sibling
    outs: [sibling]
    deps: [good]
"""


def test_a_failed_stage_stops_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    told = world.reconcile(ok=(3,))
    assert told.ran == ["bad", "good", "sibling"]
    assert told.actions == {"good": "run", "bad": "failed", "sibling": "run", "after": "wait"}
    assert "words that help" in told.err
    assert world.trace() == ["bad", "good", "sibling"]
    failed = next(run for run in world.runs() if run["stage"] == "bad")
    assert (failed["outcome"]["exitCode"], failed["outcome"]["reason"]) == (3, "failed")
    assert "words that help" in failed["log"]["tail"]
    assert "words that help" in world.runner("log", "bad").stdout

    assert world.plan() == {"good": "keep", "sibling": "keep", "bad": "failed", "after": "wait"}
    again = world.reconcile(ok=(3,))
    assert (again.ran, again.commit, world.trace()) == ([], None, [])

    assert world.reconcile("--retry", "bad", ok=(3,)).ran == ["bad"]
    assert world.reconcile("--retry", ok=(3,)).ran == ["bad"]
    assert world.trace() == ["bad", "bad"]
    world.edit({"dvc.yaml": STAGES.replace("exit 3", "echo 2 > bad")})
    assert world.reconcile().ran == ["after", "bad"]
    assert world.reconcile().commit is None
    check_ledger(world.remote)


def test_what_stood_before_a_failure_stands_on(tmp_path: Path) -> None:
    stages = STAGES.replace("exit 3", "cp in bad")
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n"}, dvc=True)
    world.reconcile()
    lock = world.file("dvc.lock")
    world.edit({"dvc.yaml": stages.replace("cp in bad", "rm -f bad")})
    told = world.reconcile(ok=(3,))
    assert told.outcomes == {"bad": "outputs"}
    assert "bad was not written" in told.value["runs"][0]["message"]
    assert world.file("dvc.lock") == lock
    root = world.clone("fresh")
    assert set(dvc_status(root)) >= {"bad"}
    assert json.loads(world.file(".runner/recorded/dvc.yaml/bad.json"))["record"] is not None


LIMITS = """\
stages:
  flaky:
    cmd: echo flaky >> @TRACE@; test $(grep -c flaky @TRACE@) -ge 3 && echo 1 > flaky
    outs: [flaky]
    deps: [in]
    meta: {runner: {retries: 2}}
  slow:
    cmd: sleep 30; echo 1 > slow
    outs: [slow]
    deps: [in]
    meta: {runner: {timeout: 200ms}}
  one:
    cmd: mkdir @TRACE@.lock && sleep 0.1 && rmdir @TRACE@.lock && echo 1 > one
    outs: [one]
    deps: [in]
    meta: {runner: {mutex: gpu}}
  two:
    cmd: mkdir @TRACE@.lock && sleep 0.1 && rmdir @TRACE@.lock && echo 1 > two
    outs: [two]
    deps: [in]
    meta: {runner: {mutex: [gpu, other]}}
  list:
    cmd:
      - echo 1 > part
      - cat part > list
      - rm part
    outs: [list]
  inside:
    wdir: work
    cmd: cat ../in > inside; pwd | grep -q /work$
    deps: [../in]
    outs: [inside]
  seeded:
    cmd: echo $PYTHONHASHSEED $RUNNER_SEED $COLOUR > seeded; cut -d' ' -f1 seeded
    deps: [in]
    outs: [seeded]
    meta: {runner: {seed: 7, env: {COLOUR: blue, B: "2"}}}
"""


def test_limits_and_surroundings_of_stages(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": LIMITS, "in": "1\n", "work/keep": ""})
    told = world.reconcile("--jobs", "6", ok=(3,))
    assert told.outcomes.pop("slow") == "timeout"
    assert {name: outcome for name, outcome in told.outcomes.items() if outcome != "ok"} == {"slow": "timeout"}
    assert world.trace() == ["flaky"] * 3
    runs = {run["stage"]: run for run in world.runs()}
    assert runs["flaky"]["outcome"]["attempts"] == 3
    assert runs["slow"]["outcome"]["message"] == "took longer than its timeout of 0.2 s"
    assert runs["slow"]["seconds"] < 10
    assert world.output("seeded") == "7 7 blue\n"
    assert world.output("work/inside") == "1\n"

    world.edit({"dvc.yaml": LIMITS.replace("blue", "red").replace("timeout: 200ms", "timeout: 1m")})
    assert {name for name, action in world.plan().items() if action == "run"} == {"seeded"}
    world.edit({"dvc.yaml": LIMITS.replace("seed: 7", "seed: 8").replace("[gpu, other]", "gpu")})
    assert {name for name, action in world.plan().items() if action == "run"} == {"seeded"}


def test_more_than_the_host_has_is_refused_at_plan(tmp_path: Path) -> None:
    meta = "meta: {runner: {resources: {cpu: 999, memory: 9Ti}}}"
    world = World.create(
        tmp_path, {"dvc.yaml": f"stages: {{big: {{cmd: echo, deps: [dvc.yaml], outs: [x], {meta}}}}}\n"}
    )
    said = world.reconcile(ok=(1,)).err
    assert "asks for 999 cores" in said
    assert "9216.0 GiB of memory" in said
    assert world.tip() is None


SECRETS = """\
stages:
  call:
    cmd: echo "token=$TOKEN"; echo $TOKEN | cut -c1-4 > call; test -z "$OTHER"
    outs: [call]
    deps: [in]
    meta: {runner: {secrets: [TOKEN]}}
  bare:
    cmd: echo "${TOKEN:-none}" > bare
    outs: [bare]
    deps: [in]
"""


def test_secrets_are_given_to_who_asks_and_shown_to_nobody(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": SECRETS.replace("${TOKEN:-none}", "$TOKEN"), "in": "1\n"})
    told = world.reconcile(ok=(1,))
    assert "TOKEN" in told.err
    assert world.tip() is None
    world.environ |= {"TOKEN": "s3cr3t-value-of-token", "OTHER": "not asked for"}
    world.reconcile()
    everything = "".join(world.file(path) for path in world.files()) + json.dumps(world.records())
    assert "s3cr3t-value" not in everything
    assert "s3cr3t-value" not in world.runner("log", "call").stdout
    assert "token=" in world.runner("log", "call").stdout
    assert world.output("call") == "s3cr\n"
    assert world.output("bare") == "\n"
    world.environ |= {"TOKEN": "4711"}
    published = SECRETS.replace("[call]", "[call: {cache: false}]").replace("4 >", "5 >")
    world.edit({"dvc.yaml": published.replace("${TOKEN:-none}", "$TOKEN")})
    told = world.reconcile()
    assert "! call  call has the value of TOKEN, which is too short to be told from chance: committed" in told.err
    assert "4711" not in told.err
    del world.environ["TOKEN"]
    world.edit({"dvc.yaml": published.replace("${TOKEN:-none}", "new")})
    assert world.reconcile().ran == ["bare"], "a secret that nothing needs was asked for"


def test_an_environment_with_an_empty_lock_is_built_once(tmp_path: Path) -> None:
    stages = """\
stages:
  here:
    cmd: echo $VIRTUAL_ENV > here; command -v python | grep -q ^$VIRTUAL_ENV
    outs: [here]
    deps: [in]
    meta: {runner: {environment: {lock: lock.txt}}}
"""
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n", "lock.txt": ""})
    world.reconcile()
    world.edit({"in": "2\n"})
    assert world.reconcile().ran == ["here"]
    made = [path for path in (world.home("a") / "environments").iterdir() if path.is_dir()]
    assert len(made) == 1, made
    world.edit({"lock.txt": "# other\n"})
    assert world.plan() == {"here": "run"}


SPECIAL = """\
stages:
  always:
    cmd: echo always >> @TRACE@; echo 1 > always
    always_changed: true
    outs: [always]
  callback:
    cmd: echo callback >> @TRACE@
  frozen:
    cmd: echo frozen >> @TRACE@; cp in frozen
    deps: [in]
    outs: [frozen]
  grows:
    cmd: echo grows >> @TRACE@; cat in >> grows
    deps: [in]
    outs:
      - grows: {persist: true}
  tail:
    cmd: echo tail >> @TRACE@; tail -n 1 grows > tail
    deps: [grows]
    outs: [tail]
"""


def test_special_stages(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": SPECIAL, "in": "1\n"}, dvc=True)
    world.reconcile()
    assert world.trace() == ["always", "callback", "frozen", "grows", "tail"]
    assert world.reconcile().commit is None
    assert world.trace() == []
    frozen = SPECIAL.replace("    cmd: echo frozen", "    frozen: true\n    cmd: echo frozen")
    world.edit({"dvc.yaml": frozen, "in": "2\n"})
    assert world.plan() == {"always": "run", "callback": "run", "frozen": "keep", "grows": "run", "tail": "wait"}
    told = world.reconcile(host="b", elsewhere=True)
    assert world.trace() == ["always", "callback", "grows", "tail"], told.err
    assert world.reconcile().commit is None
    grown = [run for run in world.runs() if run["stage"] == "grows"]
    assert [run["startedFrom"] for run in grown] == [{}, {"grows": grown[0]["outs"][0]["md5"]}]
    assert grown[1]["outs"][0]["size"] == 4
    assert world.reconcile("--force").ran == ["always", "callback"]
    world.edit({"in": "1\n"})
    assert world.plan()["grows"] == "reuse"
    assert world.reconcile().ran == ["always", "callback"]
    check_ledger(world.remote)


ODD = """\
stages:
  "many things":
    foreach: {"a b": 1, "ü%/..": 2, "x.y": 3}
    do:
      cmd: mkdir -p 'out dir/ü' && echo ${item} > 'out dir/ü/${item}.txt' && echo s${item} >> @TRACE@
      deps: [in put.txt]
      outs: ["out dir/ü/${item}.txt"]
  join:
    cmd: cat 'out dir/ü'/* > "it's $(echo j).txt"
    deps: ["out dir/ü"]
    outs: ["it's j.txt"]
"""


def test_odd_names(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": ODD.replace('"many things"', "many"), "in put.txt": "1\n"}, dvc=True)
    told = world.reconcile()
    assert told.ran == ["join", "many@a b", "many@x.y", "many@ü%/.."]
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None
    root = world.clone("fresh")
    dvc_pull(root)
    assert dvc_status(root) == {}
    assert git(root, "status", "--porcelain") == ""
    assert (root / "it's j.txt").read_text() == "1\n2\n3\n"
    world.runner("explain", "many@a b")
    world.runner("log", "many@ü%/..")


@pytest.mark.parametrize("jobs", [1, 3])
def test_as_many_stages_at_once_as_jobs_allow(tmp_path: Path, jobs: int) -> None:
    stage = """\
  s{n}:
    cmd:
      - echo + >> @TRACE@
      - for i in $(seq 200); do test $(grep -c + @TRACE@) -ge {jobs} && break; sleep 0.05; done
      - echo - >> @TRACE@
      - echo > s{n}
    deps: [in]
    outs: [s{n}]
"""
    text = "stages:\n" + "".join(stage.replace("{n}", str(n)).replace("{jobs}", str(jobs)) for n in range(3))
    world = World.create(tmp_path, {"dvc.yaml": text, "in": ""})
    world.reconcile("--jobs", str(jobs))
    running = most = 0
    for sign in (world.folder / "trace").read_text().split():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert most == jobs


def test_a_failure_in_the_middle_of_a_text_of_commands_is_a_failure(tmp_path: Path) -> None:
    text = (
        "stages:\n  s:\n    deps: [in]\n    outs: [o]\n    cmd: |\n      echo first\n      exit 3\n      echo 1 > o\n"
    )
    world = World.create(tmp_path, {"dvc.yaml": text, "in": "1\n"})
    assert world.reconcile(ok=(3,)).actions == {"s": "failed"}
    [failed] = world.runs()
    assert (failed["outcome"]["exitCode"], failed["log"]["tail"]) == (3, "first")
    world.edit({"dvc.yaml": text.replace("exit 3", "export A=1")})
    told = world.runner("plan", ok=(2,)).stdout
    assert "each line of `cmd` is run by a shell of its own, as by DVC; what is set of line 2" in told
    assert world.reconcile().ran == ["s"]
