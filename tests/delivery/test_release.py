"""A release file that somebody else wrote: nothing in it leads outside, and all of it is looked at."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.core.releases import model_digest
from runner.delivery.release import check_servable, read_release
from runner.delivery.store import Store, files_up_to
from runner.errors import HostError, InputError

FILES = {"manifest.json": b"{}", "deep/model.skops": b"model"}


def row(files: dict[str, bytes] | None = None) -> dict[str, Any]:
    rows = [
        {
            "path": path,
            "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
        }
        for path, data in (files or FILES).items()
    ]
    manifest = next((one["sha256"] for one in rows if one["path"] == "manifest.json"), None)
    model = {"path": "m", "md5": "0" * 32, "remote": None, "manifest": manifest, "files": rows}
    names = {"schema": 1, "record": 5, "deployment": "churn-api", "environment": "production", "version": 1}
    return {**names, "model": {**model, "sha256": model_digest(rows)}, "format": "skops", "serving": {}}


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    made = row()
    change(made)
    made["model"]["sha256"] = made["model"].pop("forged", None) or model_digest(made["model"]["files"])
    return json.dumps(made).encode()


@pytest.mark.parametrize(
    "path", ["../out", "/out", "a/../../out", "a//b", ".", "a/.", "a\0b", "a\\b", "", "manifest.json/x"]
)
def test_no_path_leads_outside_of_the_model(path: str) -> None:
    with pytest.raises(InputError, match="the release file is none"):
        read_release(changed(lambda row: row["model"]["files"][1].update(path=path)))


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(schema=2),
        lambda row: row.update(version=0),
        lambda row: row.update(version=True),
        lambda row: row.update(deployment=7),
        lambda row: row.update(serving=[]),
        lambda row: row.update(serving={"formats": "skops"}),
        lambda row: row["model"].update(files=[]),
        lambda row: row["model"].update(forged="0" * 64),
        lambda row: row["model"].update(manifest="0" * 64),
        lambda row: row["model"].update(remote=7),
        lambda row: row["model"]["files"][0].update(size=-1),
        lambda row: row["model"]["files"][0].update(md5="../../x"),
        lambda row: row["model"]["files"].append(row["model"]["files"][0]),
    ],
)
def test_what_is_no_release_is_refused_in_words(change: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(InputError, match="the release file is none"):
        read_release(changed(change))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(InputError, match="the release file is none"):
        read_release(data)


def test_a_format_that_runs_code_needs_the_word_of_the_deployment() -> None:
    told = {**row(), "format": "joblib"}
    with pytest.raises(InputError, match="allows: skops, onnx"):
        check_servable(read_release(json.dumps(told).encode()))
    check_servable(read_release(json.dumps({**told, "serving": {"formats": ["joblib"]}}).encode()))


def test_the_model_that_is_served_stays_however_many_others_come_and_fail(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def brought(number: int) -> Path:
        data = {"manifest.json": str(number).encode()}
        release = read_release(json.dumps(row(data)).encode())
        return store.brought(release, lambda md5, target: target.write_bytes(data["manifest.json"]) and None)

    served = brought(0)
    store.keep({"release": {"model": {"sha256": served.name}}})
    others = [brought(number) for number in range(1, 7)]
    assert [folder.is_dir() for folder in (served, *others)] == [True, False, False, False, True, True, True]


def test_a_folder_is_taken_as_it_is_only_where_it_is_whole(tmp_path: Path) -> None:
    release = read_release(json.dumps(row()).encode())
    by_md5 = {hashlib.md5(data, usedforsecurity=False).hexdigest(): data for data in FILES.values()}
    fetched: list[str] = []

    def fetch(md5: str, target: Path) -> None:
        fetched.append(md5)
        target.write_bytes(by_md5[md5])

    store = Store(tmp_path)
    folder = store.brought(release, fetch)
    assert store.brought(release, fetch) == folder
    assert len(fetched) == 2
    for harm in (
        lambda: (folder / "more").write_text(""),
        lambda: (folder / "manifest.json").unlink(),
        lambda: os.link(folder / "manifest.json", tmp_path / "second name"),
        lambda: ((folder / "manifest.json").unlink(), (folder / "manifest.json").symlink_to("deep/model.skops")),
    ):
        harm()
        assert store.holds(release) is None
        assert store.brought(release, fetch) == folder
    by_md5[hashlib.md5(b"model", usedforsecurity=False).hexdigest()] = b"other"
    (folder / "deep/model.skops").unlink()
    with pytest.raises(HostError, match="its bytes are not those that were released"):
        store.brought(release, fetch)
    assert store.holds(release) is None


def test_the_model_that_is_served_stays_however_many_come_after_it(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def brought(text: str) -> Any:
        files = {"manifest.json": b"{}", "model.skops": text.encode()}
        release = read_release(json.dumps(row(files)).encode())
        by_md5 = {hashlib.md5(data, usedforsecurity=False).hexdigest(): data for data in files.values()}
        store.brought(release, lambda md5, target: target.write_bytes(by_md5[md5]) and None)
        return release

    before, served = brought("before"), None
    store.keep({"release": before.row})
    served = brought("served")
    store.keep({"release": served.row})
    store.keep({"release": served.row})
    bad = [brought(f"bad {number}") for number in range(5)]
    assert store.holds(served)
    assert store.holds(before)
    assert [store.holds(one) is not None for one in bad] == [False, False, True, True, True]


def test_a_file_that_never_ends_does_not_fill_the_disk(tmp_path: Path) -> None:
    with files_up_to(1 << 16), pytest.raises(OSError, match="too large"):
        (tmp_path / "endless").write_bytes(b"x" * (1 << 20))
    (tmp_path / "other").write_bytes(b"x" * (1 << 20))
