"""`runner audit` and `runner keys` on real repositories: signed by a real signer, damaged by real commits."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.ledger import layout
from tests.audit.ledgers import OTHER
from tests.audit.mutations import ended, records_of
from tests.reconcile.audits import findings
from tests.reconcile.worlds import STATE, World
from tests.repositories import git

ROOT = Path(__file__).parents[2]
SPEC = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    make: {cmd: "cat seed > out; env > seen", deps: [seed], outs: [out, seen]}
    copy: {cmd: cp out copy, deps: [out], outs: [copy: {cache: false}]}
"""
FILES = {"runner.yaml": SPEC, "seed": "1"}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A ledger of three reconciles, signed; to be read, or copied first."""
    folder = tmp_path_factory.mktemp("signed")
    world = World.create(folder / "world", FILES, dvc=True)
    world.environ["RUNNER_SIGNING_KEY"] = str(folder / "key")
    world.environ["SSH_AUTH_SOCK"] = "/nowhere"
    line = world.runner("keys", "generate", str(folder / "key")).stdout.strip()
    (folder / "pub").write_text(line + "\n")
    (folder / "trust.yaml").write_text(f"apiVersion: runner/v1\nkind: Trust\nkeys:\n  - key: {line}\n")
    world.reconcile()
    for number in (2, 3):
        world.edit({"seed": str(number)})
        told = world.reconcile()
        assert told.value["signed"] is True
    return world


def place(world: World, name: str) -> str:
    """A file beside the world."""
    return str(world.folder.parent / name)


def shown(world: World, path: str) -> str:
    """A file of the state branch."""
    return git(world.remote, "cat-file", "blob", f"{STATE}:{path}") + "\n"


def verified(world: World, *words: str, cwd: Path | None = None) -> tuple[int, dict[str, object]]:
    done = world.runner("audit", "verify", "--json", *words, ok=(0, 10, 11, 12, 13, 14), cwd=cwd)
    return done.returncode, json.loads(done.stdout)


def second(repository: Path, ref: str, *words: str) -> int:
    """How the second verifier ends."""
    program = str(ROOT / "examples" / "verify" / "verify.py")
    done = subprocess.run([sys.executable, program, str(repository), ref, *words], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode


def proved(proof: Path, trust: str) -> int:
    """How the second verifier's look at a proof ends."""
    program = str(ROOT / "examples" / "verify" / "proof.py")
    done = subprocess.run([sys.executable, program, str(proof), "--trust", trust], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode


def test_a_signed_ledger_is_whole_from_a_clone_and_from_a_bare_one(signed: World, tmp_path: Path) -> None:
    code, value = verified(signed, "--trust", place(signed, "trust.yaml"), "--deep")
    assert (code, value["findings"], value["signaturesChecked"]) == (0, [], True)
    assert value["records"] == value["signed"] == 9
    assert value["stateCommits"] == 3
    git(tmp_path, "clone", "--quiet", "--bare", str(signed.remote), "bare.git")
    code, value = verified(signed, STATE, "--trust", place(signed, "trust.yaml"), cwd=tmp_path / "bare.git")
    assert (code, value["historyComplete"]) == (0, True)
    assert second(signed.remote, STATE, "--trust", place(signed, "trust.yaml")) == 0


def test_without_a_trust_file_it_says_that_signatures_were_not_checked(signed: World) -> None:
    done = signed.runner("audit", "verify")
    assert "every record is signed; not checked, since no trust file was named" in done.stdout


def test_a_shallow_clone_says_what_was_left_out(signed: World, tmp_path: Path) -> None:
    url = signed.remote.as_uri()
    git(tmp_path, "clone", "--quiet", "--depth", "1", "--branch", STATE, url, "shallow")
    code, value = verified(signed, "HEAD", "--trust", place(signed, "trust.yaml"), cwd=tmp_path / "shallow")
    assert (code, value["historyComplete"], value["records"]) == (0, False, 9)
    assert second(tmp_path / "shallow", "HEAD", "--trust", place(signed, "trust.yaml")) == 0


def test_a_stage_sees_no_key_and_no_agent(signed: World) -> None:
    seen = signed.output("seen")
    assert "RUNNER_SIGNING" not in seen
    assert "SSH_AUTH_SOCK" not in seen


def test_the_record_says_where_the_key_was(signed: World) -> None:
    [*_, last] = [record["reconcile"] for record in signed.records() if "reconcile" in record]
    assert last["signing"]["source"] == "file"
    assert isinstance(last["signing"]["keyReadableByStages"], bool)


def test_an_unsigned_ledger_says_so_everywhere(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", FILES)
    told = world.reconcile()
    assert told.value["signed"] is False
    assert ", not signed." in told.err
    assert "not signed" in world.runner("status").stdout
    assert "no record is signed" in world.runner("audit", "verify").stdout
    assert second(world.remote, STATE) == 0  # with a configuration of DVC that the runner added


def test_a_key_that_cannot_be_used_stops_before_anything_runs(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", FILES)
    world.environ["RUNNER_SIGNING_KEY"] = str(tmp_path / "none")
    done = world.runner("reconcile", ok=(1,))
    assert "the signing key cannot be used" in done.stderr
    assert "runner/state" not in git(world.remote, "for-each-ref")


def copy_of(world: World, folder: Path) -> Path:
    """A copy of the remote to be damaged."""
    shutil.copytree(world.remote, folder / "remote.git")
    return folder / "remote.git"


def commit_files(repository: Path, files: dict[str, bytes], message: str, *, amend: bool = False) -> None:
    """A commit on the state branch with exactly this ledger, as somebody with a clone would make it."""
    clone = repository.parent / "clone"
    git(repository.parent, "clone", "--quiet", "--branch", STATE, str(repository), "clone")
    shutil.rmtree(clone / ".runner" / "ledger")
    for path, data in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(data)
    git(clone, "add", "--all", "--force")
    git(clone, "commit", "--quiet", *(["--amend"] if amend else []), "-m", message)
    git(clone, "push", "--quiet", "--force", "origin", "HEAD")


def files_of(world: World) -> dict[str, bytes]:
    """Everything below `.runner/` at the tip, but the pipelines."""
    paths = git(world.remote, "ls-tree", "-r", "--name-only", STATE, ".runner/ledger", layout.STATE).splitlines()
    return {path: shown(world, path).encode() for path in paths}


@pytest.mark.parametrize("amend", [True, False], ids=["amended", "new commit"])
@pytest.mark.parametrize("what", ["delete", "swap", "truncate", "fork", "bit"])
def test_real_commits_that_damage_the_ledger_are_found_by_both(
    signed: World, tmp_path: Path, what: str, amend: bool
) -> None:
    repository, files = copy_of(signed, tmp_path), files_of(signed)
    records = records_of(files)
    changed = {
        "delete": [*records[:3], *records[4:]],
        "swap": [records[1], records[0], *records[2:]],
        "truncate": records[:6],
        "fork": records[:8],
        "bit": [records[0].replace(b"A", b"B", 1), *records[1:]],
    }[what]
    made = ended(files, changed, OTHER)
    commit_files(repository, made, "Reconcile x\n\nReconcile-Id: x\nDesired: x", amend=amend)
    code, value = verified(signed, STATE, "--trust", place(signed, "trust.yaml"), cwd=repository)
    assert code in (10, 11, 12), value["findings"]
    assert second(repository, STATE, "--trust", place(signed, "trust.yaml")) == code


def test_a_history_that_was_thrown_away_or_exchanged_is_found_by_both(signed: World, tmp_path: Path) -> None:
    repository, trust = copy_of(signed, tmp_path), ("--trust", place(signed, "trust.yaml"))
    before, desired = git(repository, "rev-parse", f"{STATE}^1", f"{STATE}^2").split()
    (tmp_path / "pinned").write_text(shown(signed, layout.CHECKPOINT))
    who = ("-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", f"{STATE}^{{tree}}")
    other = git(repository, *who, "-m", "x")
    gone, unwanted = f"does not follow {before[:12]}, which record 9 names", "is not a child of the desired commit"
    for parents, said in (
        ((), gone),
        ((desired,), gone),
        ((other, desired), gone),
        ((before,), unwanted),
        ((before, desired, other), "has other parents than those that record 9 names"),
    ):
        named = [word for parent in parents for word in ("-p", parent)]
        made = git(repository, *who, *named, "-m", "Reconcile\n\nDesired: x")
        for words in ((made, *trust), (made, "--pinned", str(tmp_path / "pinned"))):
            code, value = verified(signed, *words, cwd=repository)
            assert (code, said in json.dumps(value["findings"])) == (12, True)
            assert second(repository, *words) == 12


def test_a_rewound_branch_is_whole_and_found_by_who_kept_a_checkpoint(signed: World, tmp_path: Path) -> None:
    repository = copy_of(signed, tmp_path)
    (tmp_path / "pinned").write_text(shown(signed, layout.CHECKPOINT))
    git(repository, "update-ref", f"refs/heads/{STATE}", f"{STATE}~1")
    trust = ("--trust", place(signed, "trust.yaml"))
    assert verified(signed, STATE, *trust, cwd=repository)[0] == 0
    code, value = verified(signed, STATE, *trust, "--pinned", str(tmp_path / "pinned"), cwd=repository)
    assert code == 12
    assert "the end was cut off" in json.dumps(value["findings"])
    assert second(repository, STATE, *trust) == 0
    assert second(repository, STATE, *trust, "--pinned", str(tmp_path / "pinned")) == 12


def test_from_a_pinned_checkpoint_only_what_came_later_is_examined(signed: World, tmp_path: Path) -> None:
    repository, trust = copy_of(signed, tmp_path), ("--trust", place(signed, "trust.yaml"))
    pinned = tmp_path / "pinned"
    pinned.write_text(git(repository, "show", f"{STATE}~1:{layout.CHECKPOINT}") + "\n")
    words = (STATE, *trust, "--pinned", str(pinned))
    code, value = verified(signed, *words, cwd=repository)
    assert (code, value["findings"], value["records"]) == (0, [], 9)
    assert (value["hashed"], value["signed"], value["stateCommits"]) == (5, 4, 1)
    assert "those from 6 on were examined" in signed.runner("audit", "verify", *words, cwd=repository).stdout
    assert verified(signed, *words, "--deep", cwd=repository)[1]["hashed"] == 0

    pinned.write_text(pinned.read_text().replace("\n6\n", "\n5\n"))  # no state commit ever ended there
    assert "names another root for the first 5 records" in json.dumps(verified(signed, *words, cwd=repository)[1])


def test_a_commit_that_says_it_is_on_a_watched_branch_does_not_hide_the_others(signed: World, tmp_path: Path) -> None:
    repository, files = copy_of(signed, tmp_path), files_of(signed)
    grown = [*records_of(files), records_of(files)[-1]]
    commit_files(repository, ended(files, grown, OTHER), f"x\n\nReconcile-Id: x\nReconciled: {'a' * 40}")
    assert verified(signed, STATE, cwd=repository)[0] == second(repository, STATE) == 10


def test_replacements_and_grafts_of_a_clone_do_not_hide_its_history_from_the_second_verifier(
    signed: World, tmp_path: Path
) -> None:
    repository = copy_of(signed, tmp_path)
    records = records_of(files_of(signed))
    good = git(repository, "rev-parse", STATE)
    commit_files(repository, ended(files_of(signed), records[:8], OTHER), "x", amend=True)
    bad = git(repository, "rev-parse", STATE)
    git(repository, "replace", bad, good)
    trust = ("--trust", place(signed, "trust.yaml"))
    assert git(repository, "cat-file", "blob", f"{STATE}:{layout.STATE}") == shown(signed, layout.STATE).strip()
    assert verified(signed, STATE, *trust, cwd=repository)[0] == second(repository, STATE, *trust) != 0


def test_nothing_that_a_clone_configures_is_run_by_the_second_verifier(signed: World, tmp_path: Path) -> None:
    repository = copy_of(signed, tmp_path)
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\n")
    evil.chmod(0o755)
    for key in ("core.fsmonitor", "gpg.program", "core.pager", "core.sshCommand", "diff.external"):
        git(repository, "config", key, str(evil))
    git(repository, "config", "log.showSignature", "true")
    assert second(repository, STATE, "--trust", place(signed, "trust.yaml")) == 0
    assert not (tmp_path / "owned").exists()


def test_the_second_verifier_says_what_it_cannot_read(signed: World, tmp_path: Path) -> None:
    (tmp_path / "trust.yaml").write_text("{apiVersion: runner/v1, kind: Trust, keys: []}\n")
    twice = (text := Path(place(signed, "trust.yaml")).read_text()) + text[text.index("  - key") :]
    (tmp_path / "twice").write_text(twice)
    for words in (
        ("--trust", str(tmp_path / "twice")),
        ("--trust", str(tmp_path / "trust.yaml")),
        ("--trust", str(tmp_path / "none")),
        ("--pinned", str(tmp_path / "trust.yaml")),
    ):
        assert second(signed.remote, STATE, *words) == 1
    program = str(ROOT / "examples" / "verify" / "verify.py")
    pinned = [str(signed.remote), STATE, "--pinned", str(tmp_path / "trust.yaml")]
    for more, said in ((pinned, "trust.yaml is no checkpoint: it is not in its one form"), ([], "are required")):
        done = subprocess.run([sys.executable, program, *more], capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert second(signed.remote, "no-such-branch") == second(tmp_path, STATE) == second(signed.remote, "main") == 1


@pytest.mark.parametrize("name", ["verify.py", "proof.py"])
def test_the_second_verifier_without_words_says_how_it_is_used(name: str) -> None:
    words = [sys.executable, str(ROOT / "examples" / "verify" / name)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ")
    assert name in done.stderr


def test_damaged_bytes_of_an_output_are_found_by_looking_deep(signed: World, tmp_path: Path) -> None:
    cache = next(iter(signed.repo.path.glob(".dvc/cache/files/md5/*/*")))
    before = cache.read_bytes()
    cache.chmod(0o644)
    try:
        cache.write_bytes(before + b"x")
        assert verified(signed)[0] == 0
        code, value = verified(signed, "--deep")
        assert code == 13
        assert "the cached bytes of" in json.dumps(value["findings"])
    finally:
        cache.write_bytes(before)


@pytest.mark.parametrize(
    ("path", "data", "theirs"),
    [
        ("copy", b"9", 13),
        ("more.py", b"x", 13),
        ("seed", b"9", 13),
        (".dvc/config", b"[core]\n    remote = evil\n", 13),
        (".runner/pipelines/p/dvc.lock", None, 0),
    ],
    ids=["an uncached output", "a file more", "another input", "DVC's configuration", "a lock file"],
)
def test_what_lies_outside_the_ledger_is_held_against_what_is_desired_and_what_stands(
    signed: World, tmp_path: Path, path: str, data: bytes | None, theirs: int
) -> None:
    repository = copy_of(signed, tmp_path)
    data = data if data is not None else shown(signed, path).replace("md5: ", "md5: 0", 1).encode()
    commit_files(repository, {**files_of(signed), path: data}, "Reconcile\n\nDesired: x", amend=True)
    (tmp_path / "pinned").write_text(shown(signed, layout.CHECKPOINT))
    for more in ([], ["--pinned", str(tmp_path / "pinned")]):
        code, value = verified(signed, STATE, *more, cwd=repository)
        assert (code, {row["place"] for row in value["findings"]}) == (13, {path})  # type: ignore[attr-defined]
        assert second(repository, STATE, *more) == theirs


def test_what_lies_beside_the_ledger_is_examined_whatever_checkpoint_is_pinned(signed: World, tmp_path: Path) -> None:
    repository = copy_of(signed, tmp_path)
    (tmp_path / "pinned").write_text(shown(signed, layout.CHECKPOINT))
    index = git(repository, "ls-tree", "-r", "--name-only", STATE, layout.KEYS).splitlines()[0]
    changed = shown(signed, index).replace(" ok", " failed").encode()
    commit_files(repository, {**files_of(signed), index: changed}, "Reconcile\n\nDesired: x", amend=True)
    words = (STATE, "--pinned", str(tmp_path / "pinned"))
    assert verified(signed, *words, cwd=repository)[0] == second(repository, *words) == 13


def test_a_proof_holds_for_the_second_verifier_and_not_for_another_record(signed: World, tmp_path: Path) -> None:
    proof = signed.runner("audit", "prove", "4").stdout
    other = json.loads(signed.runner("audit", "prove", "5").stdout)
    (tmp_path / "good").write_text(proof)
    (tmp_path / "bad").write_text(json.dumps({**json.loads(proof), "record": other["record"]}))
    trust = place(signed, "trust.yaml")
    assert [proved(tmp_path / name, trust) for name in ("good", "bad")] == [0, 1]
    (tmp_path / "bad").write_text(json.dumps({**json.loads(proof), "sequence": 5}))
    assert proved(tmp_path / "bad", trust) == 1


def test_a_proof_can_show_that_a_kept_checkpoint_is_extended(signed: World, tmp_path: Path) -> None:
    from runner.core.checkpoint import parse_checkpoint
    from runner.core.merkle import extends

    old = git(signed.remote, "show", f"{STATE}~1:{layout.CHECKPOINT}") + "\n"
    (tmp_path / "old").write_text(old)
    value = json.loads(signed.runner("audit", "prove", "1", "--pinned", str(tmp_path / "old")).stdout)
    older, newer = parse_checkpoint(old.encode()), parse_checkpoint(value["checkpoint"].encode())
    hashes = [bytes.fromhex(text) for text in value["consistency"]["hashes"]]
    assert extends(older.size, older.root, newer.size, newer.root, hashes)
    for changed, end in (
        (value, 0),
        ({**value, "consistency": {**value["consistency"], "hashes": hashes_of(value)}}, 1),
    ):
        (tmp_path / "proof").write_text(json.dumps(changed))
        assert proved(tmp_path / "proof", place(signed, "trust.yaml")) == end


def hashes_of(value: dict[str, dict[str, list[str]]]) -> list[str]:
    """The hashes of a proof with the first one exchanged."""
    return ["00" * 32, *value["consistency"]["hashes"][1:]]


def test_runs_are_exported_in_the_words_of_others(signed: World) -> None:
    lines = [json.loads(line) for line in signed.runner("audit", "export").stdout.splitlines()]
    assert len(lines) == 6
    assert {line["payloadType"] for line in lines} == {"application/vnd.in-toto+json"}
    events = [
        json.loads(line) for line in signed.runner("audit", "export", "--format", "openlineage").stdout.splitlines()
    ]
    assert {event["eventType"] for event in events} == {"COMPLETE"}
    assert [out["name"] for out in events[0]["outputs"]] == ["out", "seen"]


def test_a_record_is_shown_with_its_statement(signed: World) -> None:
    value = json.loads(signed.runner("audit", "show", "1", "--json").stdout)
    assert value["predicateType"] == "https://slsa.dev/provenance/v1"
    assert json.loads(signed.runner("audit", "show", "1").stdout) == value  # for people too it is whole JSON
    shown = signed.runner("audit", "show").stdout
    assert "gitops-runner.dev/ledger/" in shown
    assert "\ufffd" not in shown
    assert "there is no record 99" in signed.runner("audit", "show", "99", ok=(1,)).stderr


LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0yqzVkX4CqVUAWxyOO8Pu7LtSGtlBQmhSQvCuSWIW6"
BAD_TRUST = f"""\
apiVersion: runner/v2
kind: Trust
keys:
  - key: {LINE}
    form: 9
    from: 9
    to: 3
  - {{key: ssh-rsa AAAA, roles: [runer], to: 0}}
  - key: {LINE} again
  - AAAA
unsigned: {{}}
more: 1
"""


def test_all_that_is_wrong_with_a_trust_file_is_said_at_once_each_in_its_place(signed: World, tmp_path: Path) -> None:
    file = tmp_path / "trust.yaml"
    file.write_text(BAD_TRUST)
    done = signed.runner("audit", "verify", "--trust", str(file), "--json", ok=(1,))
    value = json.loads(done.stdout)
    assert value["error"]["message"] == "10 findings in the trust file"
    said = [(row["line"], row["column"], row["message"]) for row in value["findings"]]
    assert said == [
        (1, 1, "`apiVersion` must be `runner/v1`, not `runner/v2`"),
        (5, 5, "unknown key `form` in `keys`"),
        (7, 5, "the key would end with record 3, before it begins with 9"),
        (8, 6, "not a line `ssh-ed25519 AAAA…`"),
        (8, 33, "item 1 of `roles` must be one of runner, proposals, approver, not `runer`"),
        (8, 41, "`to` must be at least 1, not 0"),
        (9, 5, "this key stands here twice"),
        (10, 5, "item 4 of `keys` must be a mapping, not the text `AAAA`"),
        (11, 1, "the key `to` is missing in `unsigned`"),
        (12, 1, "unknown key `more` at the top"),
    ]
    assert value["findings"][1]["hint"] == "did you mean `from`?"
    assert f"{file}:5:5: unknown key `form`" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("", ": the document must be a mapping, not nothing"),
        (f"apiVersion: runner/v1\nkind: Trust\nkeys:\n- key: {LINE}\nkind: Trust\n", ":5:1: "),
        ("-----BEGIN PRIVATE KEY-----\nsecret\n", ": this is a private key, not a trust file"),
        ("secret\n", ": this is no trust file: it must be a mapping"),
        ("apiVersion: runner/v1\nkind: Trust\nkeys: []\n", ":3:1: `keys` must not be empty"),
    ],
    ids=["missing", "empty", "a key twice", "a private key", "a token", "no keys"],
)
def test_a_trust_file_that_is_none_is_explained(signed: World, tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "trust.yaml").write_text(text)
    done = signed.runner("audit", "verify", "--trust", str(tmp_path / "trust.yaml"), ok=(1,))
    assert said in done.stderr
    assert "secret" not in done.stderr


def test_results_on_the_watched_branch_are_verified_among_the_commits_of_people(tmp_path: Path) -> None:
    project = "apiVersion: runner/v1\nkind: Project\nmetadata: {name: x}\nspec: {record: {branch: main}}\n---\n"
    world = World.create(tmp_path / "world", {**FILES, "runner.yaml": project + SPEC})
    world.reconcile()
    for number in (2, 3):
        world.repo.git("pull", "--quiet", "--rebase", "origin", "main")
        world.edit({"seed": str(number)})
        world.reconcile()
    world.repo.git("pull", "--quiet", "--rebase", "origin", "main")
    world.edit({"seed": "4"})  # people's commit on top
    code, value = verified(world, "main")
    assert (code, value["findings"], value["stateCommits"]) == (0, [], 3)
    assert second(world.repo.path, "main") == 0
    assert second(world.remote, "main") == 0

    # What people put beside the records hides nothing that the runner records on top of it.
    world.edit({"seed": "5", f"{layout.RECORDS}/x.json": "x"})
    world.reconcile()
    code, value = verified(world, "main", cwd=world.remote)
    assert (code, value["stateCommits"]) == (0, 4)
    words = [sys.executable, str(ROOT / "examples/verify/verify.py"), str(world.remote), "main"]
    assert (
        subprocess.run(words, capture_output=True, text=True, check=True).stdout
        == f"{value['records']} records, whole\n"
    )


ODD_STAGES = """\
stages:
  toml: {cmd: cp ../in toml, wdir: sub, deps: [./../in], params: [../odd.toml: [when, deep.at, big]], outs: [toml]}
  whole: {cmd: cp in whole; chmod +x whole, deps: [in], params: [all.yaml: ], outs: [whole: {cache: false}]}
  colon: {cmd: echo x > colon, params: ["a:b.yaml": [k]], outs: [colon]}
  each: {foreach: [1, 2], do: {cmd: "echo ${item} > each${item}", params: [rate], outs: ["each${item}"]}}
"""
ODD_FILES = {
    "dvc.yaml": ODD_STAGES,
    "in": "1\n",
    "sub/x": "",
    "odd.toml": "when = 2026-01-02\nbig = 1e400\n[deep]\nat = 2026-01-02T03:04:05Z\n",
    "all.yaml": "a: {b: [1, 1.0, null, .nan, 0o7, 'null', '', 'é\\u0085x']}\nsize: 3\n",
    "a:b.yaml": "k: 1\n",
    "params.yaml": "rate: 1.0\n",
}


def test_a_lock_file_of_odd_stages_is_no_finding_and_each_value_of_it_counts(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", ODD_FILES, dvc=True)
    world.reconcile()
    assert findings(world.remote, STATE) == ()
    lock = shown(world, "dvc.lock")
    forged = {"rate: 1.0": "rate: 1", "when: 2026-01-02": "when: 2026-01-03", "- .nan": "- 0", "- 7": "- 8"}
    forged |= {"isexec: true": "isexec: false", "schema: '2.0'": "schema: '2.0'\nmore: 1"}
    forged |= {"size: 2": "size: 3", "k: 1": "k: 2", "hash: md5": "hash: md4"}
    for old, new in forged.items():
        assert old in lock, old
        repository = copy_of(world, tmp_path / old.replace(" ", ""))
        data = lock.replace(old, new, 1).encode()
        commit_files(repository, {**files_of(world), "dvc.lock": data}, "Reconcile\n\nDesired: x", amend=True)
        assert {one.place for one in findings(repository, STATE)} == {"dvc.lock"}, old


NAMED_AS_A_LOCK = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: uv}
spec:
  stages:
    a: {cmd: echo 1 > out, deps: [src], outs: [out]}
    b: {cmd: cat out > copy, deps: [./x/../out], outs: [copy: {cache: false}]}
"""


def test_files_that_only_dvc_understands_are_held_against_the_specs(tmp_path: Path) -> None:
    files = {"runner.yaml": NAMED_AS_A_LOCK, "src/x": "1", "uv.lock": "version = 1\n"}
    world = World.create(tmp_path / "world", files, dvc=True)
    world.reconcile()
    assert findings(world.remote, STATE) == ()
    lock, rendered = (f".runner/pipelines/uv/dvc.{end}" for end in ("lock", "yaml"))
    text, empty = shown(world, lock), "schema: '2.0'\nstages: {}\n"
    assert "./x/../out" in text
    forgeries: list[dict[str, str]] = [
        {"src/.dvcignore": ""},
        {"src/.dvc/config": "", "src/.dvc/.gitignore": layout.DVC_FOLDER_IGNORED.decode()},
        {lock: text.replace("./x/../out", "out")},
        {lock: text.replace("path: out", "path: ./out")},
        {".runner/pipelines/ghost/dvc.lock": empty},
        {"x/.runner/pipelines/uv/dvc.lock": empty},
        {"x/.runner/pipelines/uv/dvc.lock": text},
        {".dvcignore": ""},
    ]
    for number, forged in enumerate(forgeries):
        repository = copy_of(world, tmp_path / str(number))
        changed = {**files_of(world), **{path: data.encode() for path, data in forged.items()}}
        commit_files(repository, changed, "Reconcile\n\nDesired: x", amend=True)
        assert {one.place for one in findings(repository, STATE)} == forged.keys(), forged

    # What a runner that renders otherwise made is not compared: its record says so, or says nothing.
    record = max(path for path in files_of(world) if path.startswith(layout.RECORDS))
    envelope = json.loads(shown(world, record))
    said, payload = f'"rendering":{layout.RENDER_VERSION},', base64.b64decode(envelope["payload"]).decode()
    evil = shown(world, rendered).replace("echo 1", "echo 2").encode()
    assert said in payload
    for number, (new, is_compared) in enumerate({said: True, "": False, '"rendering":9999,': False}.items()):
        repository = copy_of(world, tmp_path / f"rendered{number}")
        changed = base64.b64encode(payload.replace(said, new).encode()).decode()
        record_now = json.dumps({**envelope, "payload": changed}, separators=(",", ":")) + "\n"
        forged = {record: record_now.encode() if new != said else shown(world, record).encode(), rendered: evil}
        commit_files(repository, {**files_of(world), **forged}, "Reconcile\n\nDesired: x", amend=True)
        assert (rendered in {one.place for one in findings(repository, STATE)}) is is_compared
