"""Outputs of every kind: in git, on remotes, in folders; and inputs that are parts of outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, dvc_pull, dvc_status
from tests.repositories import git

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own

UNCACHED = """\
stages:
  small:
    cmd:
      - echo small >> @TRACE@
      - cat in > small.json
      - chmod +x small.json
      - mkdir -p many/deep
      - cp in many/a
      - cp in many/deep/b
    deps: [in]
    metrics:
      - small.json: {cache: false}
    outs:
      - many: {cache: false}
  reader:
    cmd: echo reader >> @TRACE@; cat small.json many/deep/b ${word} > read
    deps: [small.json, many, "${word}"]
    outs: [read]
  inside:
    cmd: echo inside >> @TRACE@; cat many/deep/b > deep
    deps: [many/deep]
    outs: [deep]
"""
FILES = {"dvc.yaml": UNCACHED, "in": "1\n", "params.yaml": "word: in\n", "other": "2\n"}


def test_uncached_outputs_are_in_the_tree_and_come_back_from_it(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES)
    world.reconcile()
    world.trace()
    assert world.file("many/deep/b") == "1\n"
    modes = git(world.remote, "ls-tree", "-r", "runner/state", "small.json", "many")
    assert [line.split()[0] for line in modes.splitlines()] == ["100644", "100644", "100755"]

    world.edit({"params.yaml": "word: other\n"})
    told = world.reconcile(host="b", elsewhere=True)
    assert (told.ran, world.trace()) == (["reader"], ["reader"])
    assert world.reconcile().commit is None

    old = world.edit({"in": "5\n"}, "Older")
    world.edit({"in": "6\n"}, "Newer")
    world.reconcile()
    assert world.reconcile(old).ran == ["inside", "reader", "small"]
    assert len([path for path in world.files() if path.startswith(".runner/aside/")]) == 3
    world.trace()
    world.edit({"in": "5\n", "params.yaml": "word: in\n"}, "As the older")
    assert world.plan() == {"small": "reuse", "reader": "run", "inside": "reuse"}
    told = world.reconcile(host="c", elsewhere=True)
    assert (told.ran, world.trace()) == (["reader"], ["reader"])
    assert world.file("many/deep/b") == "5\n"
    assert [path for path in world.files() if path.startswith(".runner/aside/")] == []
    check_ledger(world.remote)


def test_an_output_that_cannot_be_kept_fails_its_stage(tmp_path: Path) -> None:
    stages = """\
stages:
  large:
    cmd: head -c 2000000 /dev/zero > large
    deps: [in]
    outs: [large: {cache: false}]
  link:
    cmd: mkdir link && ln -s nowhere link/broken
    deps: [in]
    outs: [link]
  fine:
    cmd: cp in fine
    deps: [in]
    outs: [fine]
"""
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n"})
    told = world.reconcile(ok=(3,))
    assert told.outcomes == {"large": "outputs", "link": "outputs", "fine": "ok"}
    assert next(run["message"] for run in told.value["runs"] if run["stage"] == "link").startswith("link/broken: ")
    message = next(run["message"] for run in told.value["runs"] if run["stage"] == "large")
    assert "1 MiB" in message
    assert "cache" in message
    assert world.reconcile(ok=(3,)).commit is None


def test_links_in_outputs_stand_for_what_they_lead_to(tmp_path: Path) -> None:
    stages = """\
stages:
  link:
    cmd: ln -s data/in link
    deps: [data]
    outs: [link]
  many:
    cmd: mkdir many && cp data/in many/a && ln -s a many/b && ln -s ../data/in many/c && ln -s "$PWD/data/in" many/d
    deps: [data]
    outs: [many]
  reads:
    cmd: cat link many/a many/b many/c many/d > reads
    deps: [link, many]
    outs: [reads]
"""
    world = World.create(tmp_path, {"dvc.yaml": stages, "data/in": "1\n"}, dvc=True)
    assert world.reconcile().ran == ["link", "many", "reads"]
    assert world.output("reads") == "1\n" * 5
    first = world.file("dvc.lock")
    world.edit({"data/in": "2\n"})
    world.edit({"data/in": "1\n", "dvc.yaml": stages.replace("ln -s data/in link", "ln -s ./data/in link")})
    world.reconcile("--no-isolation")
    assert world.file("dvc.lock") == first.replace("ln -s data/in link", "ln -s ./data/in link")


REMOTES = """\
stages:
  here:
    cmd: cp in here
    deps: [in]
    outs: [here]
  there:
    cmd: mkdir there && for n in $(seq 300); do echo $n > there/$n; done
    deps: [in]
    outs: [there: {remote: second}]
  nowhere:
    cmd: cp in nowhere; echo >> nowhere
    deps: [in]
    outs: [nowhere: {push: false}]
  reads:
    cmd: cat here there/300 nowhere > reads
    deps: [here, there/300, nowhere]
    outs: [reads]
"""


def test_bytes_go_where_their_outputs_say(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": REMOTES, "in": "1\n"}, dvc=True)
    config = (world.repo.path / ".dvc/config").read_text()
    world.edit({".dvc/config": f"{config}['remote \"second\"']\n    url = {tmp_path / 'second'}\n"})
    world.reconcile()
    assert set(world.plan().values()) == {"keep"}
    first = {path.name: path for path in world.store.glob("files/md5/*/*")}
    second = {path.name for path in (tmp_path / "second").glob("files/md5/*/*")}
    assert len(first) == 2
    assert len(second) == 301
    root = world.clone("fresh")
    (root / ".dvc/config.local").write_text(f"[cache]\n    dir = {world.repo.path / '.dvc/cache'}\n")
    from tests.oracle.checkouts import repo

    with repo(root) as opened:
        opened.checkout()
    assert dvc_status(root) == {}
    assert len(list((root / "there").iterdir())) == 300

    world.edit(
        {"dvc.yaml": REMOTES.replace("nowhere > reads", "nowhere in > reads").replace(", nowhere]", ", nowhere, in]")}
    )
    told = world.reconcile(host="b", elsewhere=True)
    assert told.ran == ["nowhere", "reads"], "what was not pushed is made again, and nothing else"
    assert world.reconcile().commit is None
    check_ledger(world.remote)


def test_a_remote_that_is_badly_described_is_told_before_anything_runs(tmp_path: Path) -> None:
    stages = "stages: {s: {cmd: echo s >> @TRACE@; cp in s, deps: [in], outs: [s: {remote: other}]}}\n"
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n"}, dvc=True)
    assert "no DVC remote 'other'" in world.reconcile(ok=(1,)).err
    config = "[core]\n    remote = near\n['remote \"near\"']\n    url = ../../near\n"
    world.edit({"dvc.yaml": stages.replace("other", "near"), ".dvc/config": config})
    assert "relative" in world.reconcile(host="b", elsewhere=True, ok=(1,)).err
    assert world.trace() == []
    world.reconcile()
    assert len(list((tmp_path / "near").glob("files/md5/*/*"))) == 1


PRODUCED = """\
stages:
  choose:
    cmd: mkdir -p conf && echo '{"depth":3}' > conf/chosen.json && echo x > conf/noise
    deps: [in]
    outs: [conf]
  single:
    cmd: echo "{\\"rate\\":2}" > single.json
    deps: [in]
    outs: [single.json]
  use:
    cmd: echo use >> @TRACE@; cat single.json > used
    params:
      - single.json: [rate]
      - conf/chosen.json: [depth]
    deps: [in]
    outs: [used]
  both:
    cmd: echo both >> @TRACE@; ls mixed/made mixed > both
    deps: [mixed]
    outs: [both]
  makes:
    cmd: mkdir mixed/made; echo 1 > mixed/made/one
    deps: [in]
    outs: [mixed/made]
"""


def test_parameters_and_folders_that_stages_make(tmp_path: Path) -> None:
    files = {"dvc.yaml": PRODUCED, "in": "1\n", "mixed/kept": "k\n", "mixed/deep/x": "x\n"}
    world = World.create(tmp_path, files, dvc=True)
    world.reconcile()
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None
    assert len([path for path in world.files() if path.startswith(".runner/objects/")]) == 4
    world.trace()
    world.edit({"dvc.yaml": files["dvc.yaml"].replace('rate\\":2', 'rate\\":2, \\"other\\":1')})
    assert world.plan()["use"] == "wait"
    assert world.reconcile().ran == ["single"]
    assert world.trace() == []
    world.edit({"mixed/deep/x": "y\n"})
    assert world.plan()["both"] == "run"
    assert world.reconcile(host="b", elsewhere=True).ran == ["both"]
    root = world.clone("fresh")
    dvc_pull(root)
    assert dvc_status(root) == {}
    world.forget_cache()
    assert set(world.plan("--fetch", host="new").values()) == {"keep"}, "a plan needs no data"
    world.edit({"dvc.yaml": PRODUCED[: PRODUCED.index("  use:")]})
    world.reconcile()
    assert [path for path in world.files() if path.startswith(".runner/objects/")] == []
    check_ledger(world.remote)


def test_data_that_dvc_tracks(tmp_path: Path) -> None:
    stages = """\
stages:
  part:
    cmd: cat raw/a/1 > part
    deps: [raw/a]
    outs: [part]
  whole:
    cmd: cat raw/*/* > whole
    deps: [raw]
    outs: [whole]
  one:
    cmd: cp file.bin one
    deps: [file.bin]
    outs: [one]
"""
    world = World.create(tmp_path, {"dvc.yaml": stages}, dvc=True)
    world.repo.write({"raw/a/1": "1\n", "raw/b/2": "2\n", "file.bin": "data\n"})
    _add(world, "raw", "file.bin")
    world.edit(message="Add data")
    world.forget_cache()
    told = world.reconcile(host="b", elsewhere=True)
    assert told.ran == ["one", "part", "whole"]
    assert set(world.plan("--fetch").values()) == {"keep"}
    world.repo.write({"raw/b/2": "3\n"})
    _add(world, "raw")
    world.edit(message="Other data")
    assert world.plan(host="b") == {"part": "keep", "whole": "run", "one": "keep"}
    assert world.reconcile(host="b", elsewhere=True).ran == ["whole"]
    root = world.clone("fresh")
    dvc_pull(root)
    assert dvc_status(root) == {}


def _add(world: World, *paths: str) -> None:
    from tests.oracle.checkouts import repo

    with repo(world.repo.path) as opened:
        opened.add([str(world.repo.path / path) for path in paths])
        opened.push()


def test_a_time_of_day_among_parameters_stops_nothing_though_no_lock_file_has_such_a_value(tmp_path: Path) -> None:
    stages = "stages:\n  a: {cmd: cp in a, deps: [in], params: [x.toml: [at, day]], outs: [a]}\n"
    values = "at = 07:32:00\nday = 2026-01-31\n"
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n", "x.toml": values})
    assert world.reconcile().ran == ["a"]
    assert "at: 07:32:00\n" in world.file("dvc.lock").replace("'", "")
    assert world.reconcile().commit is None
    world.edit({"x.toml": values.replace("32", "33")})
    [row] = world.plan_rows()
    assert row["reasons"][0].endswith(": 07:32:00 → 07:33:00")
    assert world.reconcile().ran == ["a"]
