"""Reading DVC's configuration from bytes, against DVC's own reading."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runner.data.config import DvcConfig
from runner.errors import InputError
from tests.data.oracle import run_dvc
from tests.repositories import GitRepo

COMMITTED = b"""\
[core]
    remote = Main
    autostage = true
    analytics = false
['remote "Main"']
    url = ../../storage
    jobs = 2
['remote "cloud"']
    url = s3://bucket/path
    endpointurl = http://localhost:9000
['remote "home"']
    url = ~/storage
[cache]
    dir = ../../shared
[parsing]
    bool = boolean_optional
    list = append
"""


def test_relative_paths_resolve_as_dvc_resolves_them(dvc_project: GitRepo) -> None:
    folder = dvc_project.path / ".dvc"
    (folder / "config").write_bytes(COMMITTED)
    (folder / "config.local").write_text("['remote \"main\"']\n    url = /elsewhere\n    jobs = 3\n")
    from dvc.config import Config

    theirs = Config(str(folder))
    ours = DvcConfig.load(COMMITTED, (folder / "config.local").read_bytes(), base=folder)
    assert ours.default_remote == theirs["core"]["remote"].lower()
    urls = {name: options["url"] for name, options in ours.remotes.items()}
    assert urls == {name: str(options["url"]) for name, options in theirs["remote"].items()}
    assert ours.remotes["main"]["jobs"] == "3"
    assert str(ours.cache_dir) == str(theirs["cache"]["dir"])
    assert ours.parsing == {"bool": "boolean_optional", "list": "append"} == dict(theirs["parsing"])


def test_what_dvc_wrote_is_read(dvc_project: GitRepo) -> None:
    run_dvc(dvc_project.path, "remote", "add", "-q", "-d", "store", "/data/store")
    run_dvc(dvc_project.path, "remote", "add", "-q", "other", "../other")
    run_dvc(dvc_project.path, "remote", "modify", "--local", "store", "jobs", "3")
    folder = dvc_project.path / ".dvc"
    config = DvcConfig.load((folder / "config").read_bytes(), (folder / "config.local").read_bytes(), base=folder)
    assert config.default_remote == "store"
    assert config.remotes == {
        "store": {"url": "/data/store", "jobs": "3"},
        "other": {"url": str(dvc_project.path.parent / "other")},
    }


def test_the_host_has_the_last_word_and_its_own_folder(tmp_path: Path) -> None:
    override = tmp_path / "host" / "dvc.conf"
    override.parent.mkdir()
    override.write_text("[core]\n    remote = near\n['remote \"near\"']\n    url = store\n")
    config = DvcConfig.load(COMMITTED, None, override, base=tmp_path / "clone" / ".dvc")
    assert config.default_remote == "near"
    assert config.remotes["near"]["url"] == str(tmp_path / "host" / "store")
    assert config.remotes["main"]["url"] == str(tmp_path / "storage")


def test_without_a_clone_a_relative_url_stays_relative() -> None:
    assert DvcConfig.load(COMMITTED).remotes["main"]["url"] == "../../storage"


def test_nothing_at_all_is_an_empty_configuration() -> None:
    assert DvcConfig.load(None) == DvcConfig.load(b"\n") == DvcConfig()


def test_a_committed_configuration_cannot_name_what_would_be_run(tmp_path: Path) -> None:
    hostile = b"""\
['remote "dav"']
    url = webdavs://example.com/x
    bearer_token_command = touch /tmp/owned
    ask_password = true
['remote "s3"']
    url = s3://bucket
    configpath = ../evil-aws-config
    credentialpath = ../evil
"""
    config = DvcConfig.load(hostile, base=tmp_path)
    assert config.remotes == {"dav": {"url": "webdavs://example.com/x"}, "s3": {"url": "s3://bucket"}}
    assert config.ignored == (
        "remote.dav.ask_password", "remote.dav.bearer_token_command", "remote.s3.configpath", "remote.s3.credentialpath"
    )  # fmt: skip
    local = DvcConfig.load(None, hostile, base=tmp_path)
    assert local.remotes["dav"]["bearer_token_command"] == "touch /tmp/owned"
    assert local.ignored == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[core\nremote = x", r"\.dvc/config:1:1: not a configuration of DVC"),
        (b"[core]\nremote", r"\.dvc/config:2:1: not a configuration"),
        (b"\xff\xfe[core]", "not UTF-8"),
        (b"[core]\nremote = %(nowhere)s\n", "not a configuration of DVC"),
        (b"[core]\n" + b"x = y\n" * 100_000, "larger than"),
        (b"[core]\n" + b"".join(b"a%d = %%(a%d)s%%(a%d)s\n" % (n, n + 1, n + 1) for n in range(30)), "more than 12"),
        (b"[" * 100_000, "larger than"),
        (b"x = 1\n" + b"[" * 60_000, r"config:2:1: longer than"),
        ((b"[" * 1000 + b"\n") * 60, r"config:1:1: not a configuration"),
        (b"[a]\nx = %(x)s\n", "not a configuration of DVC"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(data: bytes, message: str) -> None:
    began = time.process_time()
    with pytest.raises(InputError, match=message) as caught:
        DvcConfig.load(data)
    assert caught.value.hint
    assert time.process_time() - began < 2


def test_shapes_that_make_no_sense_are_passed_over() -> None:
    config = DvcConfig.load(b"core = 1\n[remote]\nurl = y\n[cache]\n[[dir]]\na = 1\n['remote \"x\"']\n[[url]]\n")
    assert config.remotes == {"x": {"url": {}}}
    assert config.default_remote is None
    assert config.cache_dir is None


def test_an_override_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: cannot be read") as caught:
        DvcConfig.load(None, None, tmp_path / "gone")
    assert "RUNNER_DVC_CONFIG" in caught.value.hint
    assert os.fspath(tmp_path) in caught.value.message
