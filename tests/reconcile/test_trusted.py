"""With a trust file a reconcile builds on what trusted runners signed alone: real keys, real git, who would forge."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.ledger import layout
from runner.wiring.home import repository_home
from tests.reconcile.keys import Keys
from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import STATE, Told, World, until
from tests.repositories import GitRepo, git

SPEC = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    make: {cmd: "echo make >> @TRACE@; cat seed > out", deps: [seed], params: [rate], outs: [out]}
    copy: {cmd: "echo copy >> @TRACE@; cp out copy", deps: [out], outs: [copy]}
"""
FILES = {"runner.yaml": SPEC, "seed": "1\n", "params.yaml": "rate: 0.1\n"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Reconciled twice by a trusted runner; never used itself."""
    folder = tmp_path_factory.mktemp("template")
    world, keys = World.create(folder / "world", FILES, dvc=True), Keys(folder)
    keys.trusted(world, {"runner": ""})
    for name in ("mallory", "next", "ci"):
        keys.made(world, name)
    keys.signs(world, "runner")
    world.reconcile()
    world.edit({"seed": "2\n"})
    world.reconcile()
    return world


@pytest.fixture
def world(tmp_path: Path, template: World) -> World:
    """A copy of it, which host `a` has verified."""
    shutil.copytree(template.folder.parent, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "world"
    world = World(folder, GitRepo(folder / "repo"), folder / "remote.git")
    world.repo.git("remote", "set-url", "origin", str(world.remote))
    keys = Keys(tmp_path)
    world.environ["RUNNER_TRUST"] = str(keys.trust)
    keys.signs(world, "runner")
    world.reconcile()
    (folder / "trace").unlink()
    (folder / "trace").symlink_to(template.folder / "trace")  # as the specs name it
    world.trace()
    return world


@pytest.fixture
def keys(world: World) -> Keys:
    return Keys(world.folder.parent)


def untrusted(world: World, host: str = "stranger", *options: str) -> Told:
    """Reconcile where nobody says whom to trust."""
    file = world.environ.pop("RUNNER_TRUST")
    told = world.reconcile(*options, host=host)
    world.environ["RUNNER_TRUST"] = file
    return told


def forged(world: World, change: Callable[[Path], object], *, branch: str = STATE, instead: bool = False) -> str:
    """Somebody who may push changes files of a branch by hand; `instead`: in a commit in place of the newest."""
    clone = world.folder / f"forger{len(list(world.folder.glob('forger*')))}"
    git(world.folder, "clone", "--quiet", "--branch", branch, str(world.remote), str(clone))
    change(clone)
    git(clone, "add", "--all", "--force")
    how = ["--amend", "--no-edit"] if instead else ["-m", "Reconcile"]
    git(clone, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--allow-empty", *how)
    git(clone, "push", "--quiet", "--force", "origin", f"HEAD:{branch}")
    return git(clone, "rev-parse", "HEAD")


def test_a_state_that_is_signed_is_built_on(world: World) -> None:
    for host in ("a", "fresh"):
        told = world.reconcile(host=host)
        assert (told.commit, set(told.actions.values())) == (None, {"keep"})
    world.edit({"seed": "3\n"})
    assert world.reconcile(host="another").ran == ["copy", "make"]
    assert world.reconcile().commit is None
    check_ledger(world.remote)


def test_a_state_that_somebody_signs_whom_nobody_trusts_is_held_until_a_person_accepts_it(
    world: World, keys: Keys
) -> None:
    world.edit({"seed": "3\n"})
    keys.signs(world, "mallory")
    untrusted(world)
    keys.signs(world, "runner")
    world.trace()
    tip = world.tip()
    for host in ("a", "fresh"):
        told = world.reconcile(host=host, ok=(6,))
        assert "is signed by nobody who is trusted" in told.err
        assert f"--accept-state {tip}" in told.err
    assert (world.trace(), world.tip()) == ([], tip)

    told = world.reconcile("--accept-state", str(tip), host="fresh")
    everything = f"{STATE} at {str(tip)[:12]} has records that are new to this host: 1 to 9; they count from now on"
    assert f"{everything}; signed by nobody who is trusted: 7 to 9\n" in told.err
    assert (told.ran, told.commit is not None) == ([], True)
    assert world.records()[-1]["reconcile"]["acceptedState"] == tip
    assert world.reconcile(host="fresh").commit is None
    world.reconcile(host="a", ok=(6,))  # each host has its own person
    told = world.reconcile("--accept-state", str(world.tip()), host="a")
    assert "new to this host: 7 to 10; they count from now on; signed by nobody who is trusted: 7 to 9\n" in told.err


@pytest.mark.parametrize("host", ["a", "fresh"])
def test_a_state_without_a_signature_is_held(world: World, keys: Keys, host: str) -> None:
    world.edit({"seed": "3\n"})
    keys.signs(world, None)
    untrusted(world)
    keys.signs(world, "runner")
    assert "is not signed" in world.reconcile(host=host, ok=(6,)).err


def test_a_host_without_a_key_is_told_before_it_leaves_a_signed_ledger_unsigned(world: World, keys: Keys) -> None:
    notice = "the records so far are signed, and this host has no key"
    world.edit({"seed": "3\n"})
    keys.signs(world, None)
    told = untrusted(world)
    assert told.ran
    assert told.err.index(notice) < told.err.index("Recorded ")
    assert notice not in untrusted(world).err  # nothing is to be recorded


def test_a_runner_that_nobody_trusts_does_not_begin(world: World, keys: Keys) -> None:
    world.edit({"seed": "3\n"})
    tip = world.tip()
    keys.signs(world, None)
    assert "no key is configured to sign record 7" in world.reconcile(ok=(1,)).err
    keys.signs(world, "mallory")
    assert "does not name it" in world.reconcile(ok=(1,)).err
    keys.signs(world, "runner")
    keys.trusted(world, {"runner": ", to: 6"})
    assert "does not let it" in world.reconcile(ok=(1,)).err
    keys.trusted(world, {"runner": ", roles: [proposals]"})
    assert "which may not end this ledger" in world.reconcile(ok=(6,)).err
    assert (world.trace(), world.tip()) == ([], tip)


def test_a_key_that_was_replaced_signs_nothing_after_its_last_record(world: World, keys: Keys) -> None:
    world.edit({"seed": "3\n"})
    untrusted(world, "behind")
    keys.trusted(world, {"runner": ", to: 6", "next": ", from: 7"})
    told = world.reconcile(ok=(6,))
    assert "which is not valid for this record" in told.err


def test_unsigned_records_of_the_time_before_the_key_are_let_through(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    world = World.create(tmp_path / "world", FILES)
    world.reconcile()
    keys.trusted(world, {"runner": ""}, "unsigned: {to: 3}\n")
    world.environ["RUNNER_TRUST"] = str(keys.trust)
    keys.signs(world, "runner")
    world.edit({"seed": "2\n"})
    assert world.reconcile().ran == ["copy", "make"]
    assert world.reconcile(host="fresh").commit is None
    keys.trusted(world, {"runner": ""}, "unsigned: {to: 0}\n")
    world.edit({"seed": "1\n"})  # its results are those of the unsigned records
    assert "record 1: is not signed" in world.reconcile(host="later", ok=(6,)).err


def test_what_stands_has_to_be_what_a_signed_record_says(world: World) -> None:
    def exchange(clone: Path) -> None:
        file = clone / layout.RECORDED / "p" / "make.json"
        row = json.loads(file.read_text())
        row["outs"][0]["md5"] = "0" * 32
        file.write_text(json.dumps(row, indent=1, sort_keys=True) + "\n")

    good = world.tip()
    forged(world, exchange)
    assert "does not say what record" in world.reconcile(host="fresh", ok=(6,)).err
    told = world.reconcile(ok=(6,))
    assert "adds no record to the 6 that this host has verified" in told.err
    git(world.remote, "update-ref", f"refs/heads/{STATE}", str(good))
    git(world.repo.path, "fetch", "--quiet", "origin", f"+refs/heads/{STATE}:refs/remotes/origin/{STATE}")
    assert "whole" in world.runner("audit", "verify").stdout  # though the mirror has what stood there meanwhile
    assert world.reconcile(host="fresh").commit is None
    assert world.reconcile().commit is None


def test_a_commit_that_appends_nothing_is_held_by_a_host_that_never_looked(world: World) -> None:
    good = world.tip()
    changes: list[Callable[[Path], object]] = [lambda clone: shutil.rmtree(clone / layout.KEYS), lambda _: None]
    for change in changes:
        tip = forged(world, change)
        told = world.reconcile(host="fresh", ok=(6,))
        assert "changes files and appends no record: the runner did not make it" in told.err
        assert "restore the branch" in told.err
        assert f"--accept-state {tip}" in told.err
        if change is not changes[-1]:
            git(world.remote, "update-ref", f"refs/heads/{STATE}", str(good))
    told = world.reconcile("--accept-state", tip)
    assert f"{STATE} at {tip[:12]} adds no record to the commit before it: `audit verify` ends with 12" in told.err
    assert "records that are new to this host" not in told.err
    git(world.remote, "update-ref", f"refs/heads/{STATE}", str(good))

    who = ("-c", "user.name=x", "-c", "user.email=x@x")
    above_an_older_one = ("-p", f"{good}^", "-p", f"{good}", "-m", "Reconcile")  # no remote refuses it: nothing is gone
    merge = git(world.remote, *who, "commit-tree", f"{good}^{{tree}}", *above_an_older_one)
    git(world.remote, "update-ref", f"refs/heads/{STATE}", merge)
    assert "is a merge that the runner did not make" in world.reconcile(host="fresh", ok=(6,)).err
    git(world.remote, "update-ref", f"refs/heads/{STATE}", str(good))
    assert world.reconcile(host="fresh").commit is None


def test_a_state_whose_history_was_thrown_away_is_held(world: World) -> None:
    world.edit({"seed": "3\n"})
    world.reconcile(host="b")
    good = str(world.tip())
    who = ("-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", f"{good}^{{tree}}", "-m", "Reconcile")
    seen = git(world.remote, "rev-parse", f"{good}^1")
    for parents, said in (((), "does not follow"), (("-p", seen), "is not a child of the desired commit")):
        git(world.remote, "update-ref", f"refs/heads/{STATE}", git(world.remote, *who, *parents))
        for host in ("fresh", *(["a"] if parents else [])):  # one that has verified none, and the commit before it
            assert said in world.reconcile(host=host, ok=(6,)).err
    told = world.reconcile("--accept-state", str(world.tip()), host="fresh")
    assert "has other parents than its last record names: `audit verify` ends with 12 at that commit" in told.err
    git(world.remote, "update-ref", f"refs/heads/{STATE}", good)
    for host in ("a", "later"):
        assert world.reconcile(host=host).commit is None


def test_evidence_has_to_be_what_a_lock_file_of_the_branch_says(tmp_path: Path) -> None:
    stages = "stages:\n  a: {cmd: echo a >> @TRACE@; cp in a, deps: [in], outs: [a]}\n"
    one = World.create(tmp_path / "one", {"dvc.yaml": stages, "in": "1\n"})
    one.reconcile()
    world = World.create(tmp_path / "two", {"dvc.yaml": stages, "in": "1\n"})
    Keys.begun(world)
    world.edit({"dvc.yaml": one.file("dvc.yaml"), "dvc.lock": one.file("dvc.lock")})
    assert world.reconcile().actions == {"a": "keep"}
    assert world.reconcile(host="fresh").actions == {"a": "keep"}

    world.repo.git("rm", "--quiet", "dvc.lock")
    world.repo.git("commit", "--quiet", "--amend", "-m", "Without the lock file, as if it had never been here")
    world.repo.git("push", "--quiet", "--force", "origin", "main")
    told = world.reconcile(host="another")
    assert "no lock file of the watched branch says what runner/state says" in told.err
    assert (told.actions, told.ran) == ({"a": "run"}, ["a"])


def replaced(file: Path, old: str, new: str) -> None:
    """Put a text in the place of another one, which has to be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def what_dvc_reads(clone: Path) -> None:
    """A parameter, a command and an ignored file that nobody recorded."""
    pipeline = clone / ".runner/pipelines/p"
    replaced(pipeline / "dvc.lock", "rate: 0.1", "rate: 0.2")
    replaced(pipeline / "dvc.yaml", "cp out copy", "evil")
    replaced(clone / ".gitignore", "/out\n", "/out\n/seed\n")


def what_nobody_writes(clone: Path) -> None:
    """Another size, and files below `.runner/` that no runner writes."""
    replaced(clone / ".runner/pipelines/p/dvc.lock", "size: 2", "size: 3")
    aside = clone / layout.ASIDE / ("0" * 32) / "copy"
    aside.parent.mkdir(parents=True)
    aside.write_text("evil\n")
    (clone / layout.ROOT / "more").write_text("evil\n")


FORGERIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "what DVC reads": (
        what_dvc_reads,
        (
            ".gitignore: is not what the runner makes of the desired commit; .runner/pipelines/p/dvc.lock: does not "
            "say of make what is recorded; .runner/pipelines/p/dvc.yaml: is not what the runner makes of the desired "
            "commit"
        ),
    ),
    "what nobody writes": (
        what_nobody_writes,
        (
            f".runner/aside/{'0' * 32}/copy: is not what a run left that the newest records tell of; .runner/more: is "
            "no file that the runner writes; .runner/pipelines/p/dvc.lock: does not say of "
        ),
    ),
    "what stands": (
        lambda clone: (clone / layout.RECORDED / "p" / "copy.json").unlink(),
        "has no entry for p:copy, which stands",
    ),
    "the newer of what stood": (
        lambda clone: git(clone, "checkout", "--quiet", "HEAD^", "--", f"{layout.RECORDED}/p/make.json"),
        "p/make.json: is not what the reconciles say stands for the stage",
    ),
    "a file that nobody asked for": (
        lambda clone: (clone / "more.py").write_text("evil\n"),
        "more.py: is neither the desired commit's nor what the runner adds to it",
    ),
    "a lock file": (
        lambda clone: (lock := clone / ".runner/pipelines/p/dvc.lock").write_text(
            lock.read_text().replace("md5: ", "md5: 0", 1)
        ),
        "dvc.lock: does not say of",
    ),
    "the key index": (
        lambda clone: shutil.rmtree(clone / layout.KEYS),
        "the index does not name record",
    ),
    "a part of the key index": (
        lambda clone: min((clone / layout.KEYS).iterdir()).unlink(),
        "the index does not name record",
    ),
    "an old record": (
        lambda clone: (clone / layout.record_path(1)).unlink(),
        "000000001.json: was changed, and records are only ever appended",
    ),
}


def test_what_the_newest_commit_leaves_out_is_noticed_by_a_host_that_never_looked(world: World) -> None:
    world.edit({"seed": "3\n"})
    world.reconcile(host="b")
    good = world.tip()
    for name, (change, expected) in FORGERIES.items():
        forgery = forged(world, change, instead=True)
        for host in ("a", "fresh"):  # one that has verified the commit before, and one that has verified none
            told = world.reconcile(host=host, ok=(6,))
            missing = name == "an old record" and host == "fresh"
            assert ("record 1 is missing" if missing else expected) in told.err, name
        assert "a reconcile would hold (exit code 6)" in planned(world, forgery)
        git(world.remote, "update-ref", f"refs/heads/{STATE}", str(good))
    for host in ("a", "fresh"):
        assert world.reconcile(host=host).commit is None
    assert "would hold" not in planned(world, str(good))


def planned(world: World, commit: str) -> str:
    """What a plan says of a state commit where nobody reconciles."""
    git(world.repo.path, "fetch", "--quiet", str(world.remote), f"+{commit}:refs/remotes/origin/{STATE}")
    return world.runner("plan", host="planner", ok=(0, 2)).stdout


def test_what_an_older_runner_verified_at_its_end_alone_is_read_in_whole_once(world: World) -> None:
    forged(world, lambda clone: shutil.rmtree(clone / layout.KEYS), instead=True)
    home = repository_home(world.home("a"), str(world.remote))
    pin = home.verified(STATE)
    row = json.loads(pin.read_text()) | {"commit": world.tip()}
    home.seen_state(STATE).write_text(f"{world.tip()}\n")
    pin.write_text(json.dumps(row))
    assert world.reconcile().commit is None  # as if it had been verified
    del row["whole"]
    pin.write_text(json.dumps(row))
    assert "the index does not name record" in world.reconcile(ok=(6,)).err


def test_a_ledger_that_was_signed_elsewhere_by_a_trusted_key_is_held(world: World, keys: Keys, tmp_path: Path) -> None:
    other = World.create(tmp_path / "other", FILES, dvc=True)
    other.environ |= {"RUNNER_SIGNING_KEY": world.environ["RUNNER_SIGNING_KEY"]}
    for seed in ("2\n", "3\n", "4\n"):
        other.edit({"seed": seed})
        other.reconcile()
    theirs = other.clone("theirs")

    def replace(clone: Path) -> None:
        shutil.rmtree(clone / layout.ROOT)
        shutil.copytree(theirs / layout.ROOT, clone / layout.ROOT)

    forged(world, replace)
    assert "does not follow from the bytes of the record before it" in world.reconcile(ok=(6,)).err


def test_an_old_record_that_was_exchanged_is_noticed_by_a_host_that_knew_it(world: World, keys: Keys) -> None:
    world.edit({"seed": "3\n"})
    world.reconcile(host="b")

    def exchange(clone: Path) -> None:
        (clone / layout.record_path(1)).write_bytes((clone / layout.record_path(2)).read_bytes())

    tip = git(world.remote, "rev-parse", STATE)
    clone = world.clone("forger")
    exchange(clone)
    git(clone, "add", "--all", "--force")
    git(clone, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--amend", "--no-edit")
    git(clone, "push", "--quiet", "--force", "origin", f"HEAD:{STATE}")
    assert git(world.remote, "rev-parse", STATE) != tip
    assert "000000001.json: was changed, and records are only ever appended" in world.reconcile(ok=(6,)).err


def proposed(world: World) -> None:
    """A branch `idea` with a result of its own."""
    world.repo.git("switch", "--quiet", "--create", "idea")
    world.edit({"seed": "idea\n"})


def merged(world: World) -> None:
    world.repo.git("switch", "--quiet", "main")
    world.repo.git("merge", "--quiet", "--no-ff", "--no-edit", "idea")
    world.repo.push()
    world.trace()


PROPOSED = "runner/proposed/idea"


def test_a_proposal_that_a_trusted_key_signed_is_taken_over(world: World, keys: Keys) -> None:
    keys.trusted(world, {"runner": "", "ci": ", roles: [proposals]"})
    proposed(world)
    keys.signs(world, "ci")
    assert world.reconcile("idea", host="ci").ran == ["copy", "make"]
    merged(world)
    world.reconcile(host="ci", ok=(1,))  # it may not record on the state branch
    keys.signs(world, "runner")
    assert world.plan() == {"make": "reuse", "copy": "reuse"}
    assert world.reconcile().ran == []
    assert world.trace() == []
    assert world.reconcile(host="fresh").commit is None


@pytest.mark.parametrize("name", ["mallory", None])
def test_a_proposal_that_nobody_trusted_signed_runs_again_and_says_why(
    world: World, keys: Keys, name: str | None
) -> None:
    proposed(world)
    keys.signs(world, name)
    untrusted(world, "stranger", "idea")
    assert world.tip(PROPOSED) is not None
    keys.signs(world, "runner")
    merged(world)
    done = world.runner("plan", ok=(2,))
    assert f"{PROPOSED}: record" in done.stdout
    assert "its result is not reused" in done.stdout
    told = world.reconcile()
    assert told.ran == ["copy", "make"]
    assert "its result is not reused" in told.err
    assert world.trace() == ["copy", "make"]
    check_ledger(world.remote)
    assert world.reconcile().commit is None


def test_a_proposal_signed_by_a_key_that_has_ended_runs_again(world: World, keys: Keys) -> None:
    proposed(world)
    untrusted(world, "stranger", "idea")
    merged(world)
    keys.trusted(world, {"runner": ", to: 9", "next": ""})
    keys.signs(world, "next")
    world.edit({"seed": "meanwhile\n"})
    world.reconcile()  # records 7 to 9
    world.edit({"seed": "idea\n"})
    assert world.reconcile().ran == ["copy", "make"]


def test_a_proposal_does_not_become_the_state(world: World) -> None:
    proposed(world)
    world.reconcile("idea")
    merged(world)
    git(world.remote, "update-ref", f"refs/heads/{STATE}", str(world.tip(PROPOSED)))
    assert "is of a proposal, and this ledger is none" in world.reconcile(host="fresh", ok=(6,)).err


def test_a_plan_says_that_a_reconcile_would_hold(world: World, keys: Keys) -> None:
    world.edit({"seed": "3\n"})
    keys.signs(world, "mallory")
    untrusted(world)
    git(world.repo.path, "fetch", "--quiet", "origin", f"{STATE}:refs/remotes/origin/{STATE}")
    for words in (["plan"], ["status"]):
        assert "a reconcile would hold (exit code 6)" in world.runner(*words, ok=(0, 2)).stdout
    named = world.environ.pop("RUNNER_TRUST")
    assert "would hold" not in world.runner("status").stdout
    assert "would hold" in world.runner("status", "--trust", named).stdout
    home = world.home("a") / "trust.yaml"
    home.write_bytes(keys.trust.read_bytes())
    assert "would hold" in world.runner("status").stdout
    home.unlink()


@pytest.mark.parametrize("new", ["mkdir {home}", "cp -a {home}.gone {home}", ":"], ids=["empty", "alike", "none"])
def test_a_reconcile_whose_folder_a_stage_exchanged_is_held(world: World, new: str) -> None:
    home, tip = world.home("a"), world.tip()
    world.environ["RUNNER_ISOLATION"] = "group"  # with a namespace of its own it cannot
    new = new.format(home=home)
    spy = f"mv {home} {home}.gone; {new}; cat seed > out; :"
    world.edit({"runner.yaml": (world.repo.path / "runner.yaml").read_text().replace("cat seed > out", spy)})
    told = world.reconcile(ok=(6,))
    assert f"{home} is not the folder that it was when this reconcile began" in told.err
    assert world.tip() == tip


def test_a_race_that_is_lost_to_somebody_whom_nobody_trusts_is_held(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    waiting = f"while [ ! -e {gate} ]; do sleep 0.05; done; cat seed >"
    spec = (world.repo.path / "runner.yaml").read_text().replace("cat seed >", waiting)
    world.edit({"runner.yaml": spec})
    log = tmp_path / "log"
    running = world.start("reconcile", log=log)
    until(lambda: "make" in (world.folder / "trace").read_text(), 120)
    forgery = forged(world, lambda clone: None)
    gate.touch()
    assert running.wait(120) == 6
    assert "is not what a trusted runner left" in log.read_text()
    assert world.tip() == forgery

    git(world.remote, "update-ref", f"refs/heads/{STATE}", f"{forgery}^")
    told = world.reconcile()
    assert (told.ran, told.commit is not None) == ([], True)  # what had run was kept


def test_what_did_not_move_is_not_looked_at_again(world: World) -> None:
    program = (
        "import sys\n"
        "from runner.cli.main import main\n"
        "code = int(main(['reconcile', '--json']))\n"
        "print(code, [name for name in ('ruamel', 'cryptography') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    environ = world.environment("a")
    done = subprocess.run(command, cwd=world.repo.path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_stage_finds_neither_the_key_nor_the_notes_of_the_runner_and_what_it_did_is_signed(
    world: World, keys: Keys
) -> None:
    home = repository_home(world.home("a"), str(world.remote)).root  # that of the template lies beside it
    names = [keys.folder / "runner", keys.trust, home / "verified" / "runner%2Fstate", home / "mirror.git" / "HEAD"]
    assert all(name.read_bytes() for name in names)
    spy = f"cat {' '.join(map(str, names))} > out; :"
    world.edit({"runner.yaml": (world.repo.path / "runner.yaml").read_text().replace("cat seed > out", spy)})
    world.reconcile()
    signing = world.records()[-1]["reconcile"]["signing"]
    is_apart = world.runs()[-1]["isolation"]["level"] != "group"
    assert signing == {"source": "file", "keyReadableByStages": not is_apart}
    assert world.runner("audit", "verify", STATE, cwd=world.remote).returncode == 0
    if is_apart:
        assert world.output("out") == ""


def test_a_stage_that_moves_the_folders_above_a_key_does_not_show_it_to_the_next_one(world: World, keys: Keys) -> None:
    folder = keys.folder / "ssh"
    folder.mkdir()
    (folder / "known_hosts").write_text("others\n")
    (folder / "key").write_bytes((keys.folder / "runner").read_bytes())
    (folder / "key").chmod(0o600)
    world.environ["RUNNER_SIGNING_KEY"] = str(folder / "key")
    home = world.home("a")
    spec = (world.repo.path / "runner.yaml").read_text()
    spec = spec.replace(
        "cat seed > out", f"mv {folder} {folder}.moved; mv {home} {home}.moved; ls {folder}.moved > out; :"
    )
    spec = spec.replace("cp out copy", f"cat {folder}/key {folder}.moved/key > copy; :")
    world.edit({"runner.yaml": spec})
    assert world.reconcile().ran == ["copy", "make"]
    if world.runs()[-1]["isolation"]["level"] != "group":
        assert [world.output(name) for name in ("out", "copy")] == ["", ""]
        assert (home.is_dir(), folder.is_dir()) == (True, True)
        assert world.records()[-1]["reconcile"]["signing"] == {"source": "file", "keyReadableByStages": False}
    check_ledger(world.remote)
