"""Remotes: a folder of this host, an HTTP server, and DVC at the other end of both."""

from __future__ import annotations

import http.server
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runner.core.digests import md5_hex
from runner.data.cache import Cache
from runner.data.faults import DamagedObjects, MissingObjects
from runner.data.hash_index import HashIndex
from runner.data.hashing import dir_digest, dos2unix_md5
from runner.data.remotes import Remotes
from runner.errors import HostError, InputError
from tests.data.oracle import cache_of, run_dvc
from tests.repositories import GitRepo

FILES = {f"f{number}": f"{number}".encode() for number in range(12)} | {"sub/ü": b"x" * 2_000_000}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def remotes_of(cache: Cache, url: str, base: Path | None = None) -> Remotes:
    text = f"[core]\n    remote = main\n['remote \"main\"']\n    url = {url}\n"
    return Remotes.load(text.encode(), None, None, base, cache=cache, durable=False)


@pytest.fixture
def other(tmp_path: Path) -> Cache:
    """A second, empty cache."""
    return Cache(tmp_path / "other-cache", HashIndex(tmp_path / "other.db"))


class _Store(http.server.BaseHTTPRequestHandler):
    """As much of a web server as DVC asks of a remote."""

    root: Path

    def _file(self) -> Path:
        return self.root / self.path.lstrip("/")

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_POST(self) -> None:
        self._file().parent.mkdir(parents=True, exist_ok=True)
        data = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers["Content-Length"]))
        self._file().write_bytes(data)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, with_body: bool) -> None:
        data = self._file().read_bytes() if self._file().is_file() else None
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if with_body and data:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def web_store(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    root = tmp_path / "web"
    root.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Store", (_Store,), {"root": root}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", root
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_we_push_dvc_pulls(dvc_project: GitRepo, tmp_path: Path) -> None:
    data = folder(dvc_project.path / "data", FILES)
    cache = cache_of(dvc_project, tmp_path / "i.db")
    saved = cache.save(data)
    run_dvc(dvc_project.path, "remote", "add", "-q", "-d", "main", "../store")
    remotes = Remotes.load(
        (dvc_project.path / ".dvc/config").read_bytes(),
        None,
        None,
        dvc_project.path / ".dvc",
        cache=cache,
        durable=True,
    )
    sent = remotes.push([saved.md5])
    assert sent.objects == len(FILES) + 1
    shutil.rmtree(data)
    shutil.rmtree(cache.root)
    entry = {"md5": saved.md5, "size": saved.size_bytes, "nfiles": saved.nfiles, "hash": "md5", "path": "data"}
    (dvc_project.path / "data.dvc").write_text(yaml.safe_dump({"outs": [entry]}))
    run_dvc(dvc_project.path, "pull", "-q")
    assert {path.relative_to(data).as_posix(): path.read_bytes() for path in data.rglob("*") if path.is_file()} == FILES
    assert not run_dvc(dvc_project.path, "status", "-c", "-q").strip()
    stored = [path for path in (tmp_path / "store" / "files").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in stored} == {0o444}


def test_what_dvc_pushed_we_pull(dvc_project: GitRepo, other: Cache, tmp_path: Path) -> None:
    folder(dvc_project.path / "data", FILES)
    run_dvc(dvc_project.path, "remote", "add", "-q", "-d", "main", str(tmp_path / "store"))
    run_dvc(dvc_project.path, "add", "-q", "data")
    run_dvc(dvc_project.path, "push", "-q")
    md5 = yaml.safe_load((dvc_project.path / "data.dvc").read_text())["outs"][0]["md5"]
    came = remotes_of(other, str(tmp_path / "store")).pull([md5])
    assert came.objects == len(FILES) + 1
    assert other.verify(md5)


def test_only_what_is_missing_is_sent(cache: Cache, tmp_path: Path) -> None:
    remotes = remotes_of(cache, str(tmp_path / "store"))
    first = cache.save(folder(tmp_path / "data", FILES)).md5
    assert remotes.push([first]).objects == len(FILES) + 1
    (tmp_path / "data" / "new").write_bytes(b"new")
    second = cache.save(tmp_path / "data").md5
    sent = remotes.push([first, second, md5_hex(b"new")])
    assert sent.objects == 2
    assert remotes.push([first, second]).objects == 0
    assert remotes.exists([first, second, "0" * 32]) == {first, second}


def test_a_listing_goes_after_its_members_and_not_without_them(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remotes = remotes_of(cache, str(tmp_path / "store"))
    md5 = cache.save(folder(tmp_path / "data", FILES)).md5
    lost = dict(cache.listing(md5))["f3"]
    place = remotes._place(None)
    batches: list[list[str]] = []
    put = place.put
    monkeypatch.setattr(place, "put", lambda objects: (batches.append(list(objects)), put(objects)))
    kept = cache.object_path(lost).rename(tmp_path / "kept")
    with pytest.raises(MissingObjects) as caught:
        remotes.push([md5])
    assert caught.value.md5s == (lost,)
    assert batches == []
    kept.rename(cache.object_path(lost))
    remotes.push([md5])
    assert [names[-1].endswith(".dir") for names in batches] == [False, True]


def test_members_that_the_remote_lost_are_sent_again(cache: Cache, tmp_path: Path) -> None:
    remotes = remotes_of(cache, str(tmp_path / "store"))
    md5 = cache.save(folder(tmp_path / "data", FILES)).md5
    remotes.push([md5])
    member = dict(cache.listing(md5))["f1"]
    (tmp_path / "store/files/md5" / member[:2] / member[2:]).unlink()
    assert remotes.push([md5]).objects == 1


def test_a_damaged_object_never_leaves_the_cache(cache: Cache, tmp_path: Path) -> None:
    md5 = cache.put_bytes(b"object")
    cache.object_path(md5).unlink()
    cache.object_path(md5).write_bytes(b"damage")
    with pytest.raises(MissingObjects):
        remotes_of(cache, str(tmp_path / "store")).push([md5])
    assert not list((tmp_path / "store").rglob(md5[2:]))


def test_a_damaged_object_never_enters_the_cache_and_is_named(cache: Cache, other: Cache, tmp_path: Path) -> None:
    saved = cache.save(folder(tmp_path / "data", FILES))
    remotes_of(cache, str(tmp_path / "store")).push([saved.md5])
    listed = dict(cache.listing(saved.md5))
    for name in ("f1", "f2"):
        path = tmp_path / "store/files/md5" / listed[name][:2] / listed[name][2:]
        path.chmod(0o644)
        path.write_bytes(b"?")
    with pytest.raises(DamagedObjects, match="2 objects are damaged") as caught:
        remotes_of(other, str(tmp_path / "store")).pull([saved.md5])
    assert set(caught.value.md5s) == {listed["f1"], listed["f2"]}
    assert set(other.missing(saved.md5)) == {listed["f1"], listed["f2"]}
    assert list((other.root / "runner-tmp").iterdir()) == []


def test_what_the_remote_lacks_is_named(other: Cache, tmp_path: Path) -> None:
    remotes = remotes_of(other, str(tmp_path / "nowhere"))
    with pytest.raises(MissingObjects, match=r"remote 'main' \(.*nowhere\): 1 object is missing: 0{32}") as caught:
        remotes.pull(["0" * 32])
    assert "dvc push" in caught.value.hint
    assert not (tmp_path / "nowhere").exists()


def test_objects_of_dvc_before_3_are_pulled(other: Cache, tmp_path: Path) -> None:
    data = b"a\r\nb\r\n"
    digest, listing = dir_digest([("f", dos2unix_md5(data))])
    for name, content in ((dos2unix_md5(data), data), (digest, listing)):
        folder(tmp_path / "store" / name[:2], {name[2:]: content})
    remotes = remotes_of(other, str(tmp_path / "store"))
    assert remotes.exists([digest], legacy=True) == {digest}
    assert remotes.pull([digest], legacy=True).objects == 2
    assert other.verify(digest, legacy=True)


def test_a_web_server_is_a_remote(cache: Cache, other: Cache, web_store: tuple[str, Path], tmp_path: Path) -> None:
    url, root = web_store
    md5 = cache.save(folder(tmp_path / "data", FILES)).md5
    remotes = remotes_of(cache, url)
    assert remotes.exists([md5]) == set()
    assert remotes.push([md5]).objects == len(FILES) + 1
    assert remotes.push([md5]).objects == 0
    assert remotes_of(other, url).pull([md5]).objects == len(FILES) + 1
    assert other.verify(md5)
    member = dict(cache.listing(md5))["f1"]
    (root / "files/md5" / member[:2] / member[2:]).write_bytes(b"?")
    third = Cache(tmp_path / "third", HashIndex(tmp_path / "third.db"))
    with pytest.raises(DamagedObjects, match=member):
        remotes_of(third, url).pull([md5])
    with pytest.raises(MissingObjects):
        remotes_of(third, url).pull(["0" * 32])


def test_a_remote_that_does_not_answer_is_a_host_error(cache: Cache) -> None:
    remotes = remotes_of(cache, "http://ada:sesame@127.0.0.1:1")
    md5 = cache.put_bytes(b"x")
    with pytest.raises(HostError, match="remote 'main'") as caught:
        remotes.push([md5])
    assert caught.value.hint
    assert "sesame" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_a_host_error(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HostError, match="remote 'main': Not a directory"):
        remotes_of(cache, str(tmp_path / "file")).push([cache.put_bytes(b"x")])


@pytest.mark.parametrize(
    ("text", "name", "message", "hint"),
    [
        ("", None, "no default DVC remote", "dvc remote add"),
        ("['remote \"main\"']\nurl = /x\n", "mian", "no DVC remote 'mian'", "did you mean 'main'"),
        ("['remote \"main\"']\njobs = 1\n", "main", "has no url", "dvc remote modify main url"),
        ("['remote \"main\"']\nurl = x/y\n", "main", "is relative", "RUNNER_DVC_CONFIG"),
        ("['remote \"main\"']\nurl = nope://x/y\n", "main", "Unsupported URL type nope", "dvc remote list"),
        ("['remote \"main\"']\nurl = remote://gone/x\n", "main", "remote 'gone' doesn't exist", "dvc remote list"),
        ("['remote \"main\"']\nurl = s3://b\nworktree = true\n", "main", "cloud-versioned|cannot be reached|s3", ""),
    ],
)
def test_a_remote_that_is_badly_described_is_refused(
    cache: Cache, text: str, name: str | None, message: str, hint: str
) -> None:
    remotes = Remotes.load(text.encode(), None, None, None, cache=cache)
    with pytest.raises((InputError, HostError), match=message) as caught:
        remotes.push(["0" * 32], name)
    assert hint in caught.value.hint


def test_a_remote_may_stand_on_another_one(cache: Cache, tmp_path: Path) -> None:
    text = (
        f"['remote \"base\"']\nurl = {tmp_path / 'store'}\n['remote \"images\"']\nurl = remote://base/images\n"
        "[core]\nremote = images\n"
    )
    remotes = Remotes.load(text.encode(), None, None, None, cache=cache)
    md5 = cache.put_bytes(b"x")
    assert remotes.push([md5]).objects == 1
    assert (tmp_path / "store/images/files/md5" / md5[:2] / md5[2:]).read_bytes() == b"x"
    assert remotes.exists([md5]) == {md5}


ODD = ["two words", "$(touch owned)", "`touch owned`", "a;touch owned|x&", "100%", "ünï", "-o=x", "c, d", "\\n"]


def test_odd_words_in_the_file_of_a_host_reach_dvc_as_they_are_and_start_nothing(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from configobj import ConfigObj
    from dvc.config import Config

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".dvc"
    folder.mkdir()
    written = ConfigObj(encoding="utf-8", interpolation=False)
    for word in ODD:
        written[f'remote "near {word}"'] = {"url": str(tmp_path / "store" / word)}
        written[f'remote "above {word}"'] = {"url": f"remote://near {word}/in {word}"}
    with (folder / "config").open("wb") as file:
        written.write(file)
    theirs = {name: str(row["url"]) for name, row in Config(str(folder))["remote"].items()}
    assert len(theirs) == 2 * len(ODD)
    remotes = Remotes.load(None, None, folder / "config", None, cache=cache)
    assert {name: remotes.url(name) for name in remotes.names} == theirs
    md5 = cache.put_bytes(b"x")
    for word in ODD:
        for name, place in ((f"near {word}", word), (f"above {word}", f"{word}/in {word}")):
            assert remotes.push([md5], name).objects == 1
            assert (tmp_path / "store" / place / "files/md5" / md5[:2] / md5[2:]).read_bytes() == b"x", name
    assert list(tmp_path.rglob("owned")) == []


def test_urls_are_told_without_passwords(cache: Cache) -> None:
    remotes = remotes_of(cache, "https://ada:secret@example.com/x")
    assert remotes.url() == "https://example.com/x"
    assert remotes.url("main") == "https://example.com/x"
    assert remotes.url("other") is None
    assert remotes.default_name() == "main"
    assert remotes.names == ("main",)
