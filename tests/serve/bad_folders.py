"""Model folders that must not be served, by the hundreds: ways to be bad, and numbers that a seed draws.

A folder is made from a sound one. Where its maker could also have written the manifest, the manifest fits again
(`forged`), so that what comes after it has to find the fault.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner import artefacts
from runner.values import dataclass, field
from tests.serve import bad_models
from tests.serve.models import churn, customers, labels, pipeline, write_model
from tests.serve.supervised import exchange


@dataclass(frozen=True, slots=True)
class Sound:
    """Good folders, which are never changed."""

    skops: Path
    other: Path
    """As good, and another model."""
    joblib: Path
    onnx: Path


@dataclass(frozen=True, slots=True)
class Bad:
    """One model that must not be served."""

    way: str
    folder: Path
    reason: str
    """A pattern of what has to be said of it."""
    served: Mapping[str, Any] = field(default_factory=dict)
    """What the server is told of it, as in `Served`."""
    hangs: bool = False
    """Whether it is only found out by the time that it takes."""


Way = Callable[[random.Random, Path, Sound], Bad]
WAYS: dict[str, Way] = {}


def sound(home: Path) -> Sound:
    """Make the good folders."""
    from sklearn.linear_model import LogisticRegression

    opposite = labels(customers()).map({"yes": "no", "no": "yes"})
    said = "classification"
    return Sound(
        churn(home / "skops"),
        write_model(home / "other", pipeline(LogisticRegression()), opposite, said),
        write_model(home / "joblib", bad_models.Sound(), labels(customers()), said, format="joblib"),
        write_model(home / "onnx", pipeline(LogisticRegression()), labels(customers()), said, format="onnx"),
    )


def drawn(seed: int, count: int, home: Path, good: Sound, ways: Sequence[Way] = ()) -> Iterator[Bad]:
    """Bad folders, each made when it is asked for; every way comes before one comes again."""
    chance, ways = random.Random(seed), ways or list(WAYS.values())
    for number in range(count):
        way = ways[number % len(ways)]
        yield way(chance, home / f"{number:04d}-{way.__name__}", good)


def fits(bad: Bad, reason: str) -> bool:
    """Whether what was said of a bad model is what had to be said."""
    return re.search(bad.reason, reason) is not None


def way_to_be_bad(make: Way) -> Way:
    WAYS[make.__name__] = make
    return make


def copied(folder: Path, of: Path) -> Path:
    shutil.copytree(of, folder)
    return folder


def bad(folder: Path, reason: str, *, hangs: bool = False, **served: Any) -> Bad:
    return Bad(folder.name, folder, reason, served, hangs)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "manifest.json")


_OTHER_BYTES = r"its bytes are not those that the manifest names|manifest.json: it is no manifest of a model folder"


# Folders whose bytes are not those of the manifest


@way_to_be_bad
def truncated(chance: random.Random, folder: Path, good: Sound) -> Bad:
    path = copied(folder, good.skops) / chance.choice([*_files(folder), "manifest.json"])
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))])
    return bad(folder, _OTHER_BYTES)


@way_to_be_bad
def one_bit_off(chance: random.Random, folder: Path, good: Sound) -> Bad:
    path = copied(folder, good.skops) / chance.choice(_files(folder))
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return bad(folder, _OTHER_BYTES)


@way_to_be_bad
def longer(chance: random.Random, folder: Path, good: Sound) -> Bad:
    with (copied(folder, good.skops) / chance.choice(_files(folder))).open("ab") as file:
        file.write(chance.randbytes(chance.randint(1, 100)))
    return bad(folder, _OTHER_BYTES)


@way_to_be_bad
def without_a_file(chance: random.Random, folder: Path, good: Sound) -> Bad:
    (copied(folder, good.skops) / chance.choice([*_files(folder), "manifest.json"])).unlink()
    return bad(folder, "there is no such file, and a model folder has one")


@way_to_be_bad
def one_file_more(chance: random.Random, folder: Path, good: Sound) -> Bad:
    name = chance.choice(["__init__.py", "sitecustomize.py", "numpy.py", ".hidden", "model.joblib", "usercustomize.py"])
    (copied(folder, good.skops) / name).write_text("import os\nos._exit(3)\n")
    return bad(folder, "the manifest does not name this file")


@way_to_be_bad
def two_files_exchanged(chance: random.Random, folder: Path, good: Sound) -> Bad:
    copied(folder, good.skops)
    one, two = (folder / name for name in chance.sample(_files(folder), 2))
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    return bad(folder, _OTHER_BYTES)


@way_to_be_bad
def another_digest(chance: random.Random, folder: Path, good: Sound) -> Bad:
    digest = artefacts.read(copied(folder, good.skops)).manifest
    place = chance.randrange(64)
    wrong = digest[:place] + ("0" if digest[place] != "0" else "1") + digest[place + 1 :]
    return bad(folder, "manifest.json: its SHA-256 is not", digest=chance.choice([wrong, digest.upper(), digest[:-1]]))


@way_to_be_bad
def another_model_whole(chance: random.Random, folder: Path, good: Sound) -> Bad:
    digest = artefacts.read(good.skops).manifest
    copied(folder, chance.choice([good.other, good.joblib]))
    return bad(folder, "manifest.json: its SHA-256 is not", digest=digest)


@way_to_be_bad
def a_link(chance: random.Random, folder: Path, good: Sound) -> Bad:
    path = copied(folder, good.skops) / chance.choice(_files(folder))
    path.unlink()
    targets = ["/etc/passwd", "/dev/zero", "/dev/full", "/proc/self/mem", "nowhere", path.name, "..", "/dev/tty"]
    path.symlink_to(chance.choice(targets))
    kinds = "it cannot be read|it is no file|there is no such file"
    return bad(folder, f"{_OTHER_BYTES}|{kinds}")


@way_to_be_bad
def a_second_name_of_another_file(chance: random.Random, folder: Path, good: Sound) -> Bad:
    copied(folder, good.skops)
    path, other = (folder / name for name in chance.sample(_files(folder), 2))
    path.unlink()
    path.hardlink_to(other)
    return bad(folder, _OTHER_BYTES)


@way_to_be_bad
def no_file(chance: random.Random, folder: Path, good: Sound) -> Bad:
    path = copied(folder, good.skops) / chance.choice([*_files(folder), "manifest.json"])
    path.unlink()
    kind = chance.choice(["folder", "fifo", "socket"])
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as made:
            here = os.getcwd()
            os.chdir(folder)  # names of sockets are short
            made.bind(path.name)
            os.chdir(here)
    return bad(folder, "it cannot be read|it is no file")


@way_to_be_bad
def no_folder(chance: random.Random, folder: Path, good: Sound) -> Bad:
    kind = chance.choice(["nothing", "file", "empty", "link"])
    if kind == "file":
        folder.write_bytes(chance.randbytes(100))
    elif kind == "empty":
        folder.mkdir()
    elif kind == "link":
        folder.symlink_to(folder)
    return bad(folder, "there is no such folder|there is no such file|it cannot be read")


# Manifests that lie


def _with_manifest(folder: Path, of: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = copied(folder, of) / "manifest.json"
    told = json.loads(path.read_bytes())
    change(told)
    path.write_text(json.dumps(told))


@way_to_be_bad
def a_manifest_with_another_size(chance: random.Random, folder: Path, good: Sound) -> Bad:
    size = chance.choice([-1, -2, 0, 1, 1 << 40, 1 << 62, 1 << 70, 1.5, "12", None, [], {}, 1e300])
    name = chance.choice(_files(good.skops))
    _with_manifest(folder, good.skops, lambda told: told["files"][name].update(size=size))
    return bad(folder, _OTHER_BYTES)


@way_to_be_bad
def a_manifest_with_another_digest(chance: random.Random, folder: Path, good: Sound) -> Bad:
    digest = chance.choice(["", "0" * 64, None, 7, [], "é" * 64])
    name = chance.choice(_files(good.skops))
    _with_manifest(folder, good.skops, lambda told: told["files"][name].update(sha256=digest))
    return bad(folder, _OTHER_BYTES)


@way_to_be_bad
def a_manifest_that_names_elsewhere(chance: random.Random, folder: Path, good: Sound) -> Bad:
    name = chance.choice(["../x", "/etc/passwd", "a/b", "", ".", "..", "a\0b", "manifest.json", "x" * 300, "\ud800"])
    size = {"sha256": "0" * 64, "size": 1}
    _with_manifest(folder, good.skops, lambda told: told["files"].update({name: size}))
    return bad(folder, f"{_OTHER_BYTES}|there is no such file|it cannot be read")


@way_to_be_bad
def a_manifest_of_another_kind(chance: random.Random, folder: Path, good: Sound) -> Bad:
    name, value = chance.choice(
        [("version", 0), ("version", 2), ("version", "1"), ("version", None), ("version", [1]), ("files", []),
         ("files", None), ("files", {}), ("files", "skops"), ("format", None), ("format", 7), ("format", ["skops"])]
    )  # fmt: skip
    _with_manifest(folder, good.skops, lambda told: told.update({name: value}))
    return bad(folder, f"it has version|does not name this file|{_OTHER_BYTES}")


@way_to_be_bad
def a_format_that_nobody_allowed(chance: random.Random, folder: Path, good: Sound) -> Bad:
    form = chance.choice(
        ["joblib", "onnx", "pickle", "mar", "tensorflow", "torchscript", "h5", "", "../skops", "SKOPS"]
    )
    _with_manifest(folder, good.skops, lambda told: told.update(format=form))
    return bad(folder, "it is in the format .*, and allowed are: skops")


@way_to_be_bad
def no_manifest(chance: random.Random, folder: Path, good: Sound) -> Bad:
    text = chance.choice(
        [
            b"",
            b"{",
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"\xff\xfe",
            b"null",
            b"NaN",
            b"[]",
            b'"x"',
            b"{" + b" " * (2 << 20),
        ]
    )
    (copied(folder, good.skops) / "manifest.json").write_bytes(text)
    return bad(folder, "it is no manifest of a model folder")


# Archives and files of other tools


@way_to_be_bad
def an_archive(chance: random.Random, folder: Path, good: Sound) -> Bad:
    path = folder.with_suffix(chance.choice([".mar", ".zip", ".tar.gz", ".pt", ".pkl", ".h5", ".bin"]))
    if path.suffix == ".gz":
        with tarfile.open(path, "w:gz") as archive:
            archive.add(good.skops, "model")
    else:
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("MAR-INF/MANIFEST.json", '{"runtime": "python", "model": {"handler": "handler.py"}}')
            made.writestr("handler.py", "import os\nos._exit(3)\n")
    return bad(path, "there is no such folder")


@way_to_be_bad
def an_archive_as_the_model(chance: random.Random, folder: Path, good: Sound) -> Bad:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as made:
        for name in chance.choice(
            [["MAR-INF/MANIFEST.json", "handler.py"], ["archive/data.pkl"], ["../../evil.py"], []]
        ):
            made.writestr(name, '{"model": {"handler": "handler.py"}}' * chance.randint(1, 50))
    exchange(copied(folder, good.skops), "model.skops", buffer.getvalue())
    return bad(folder, "model.skops: ")


# Documents that do not fit the model


def _with_document(folder: Path, of: Path, name: str, change: Callable[[Any], Any]) -> None:
    told = json.loads((copied(folder, of) / name).read_bytes())
    exchange(folder, name, json.dumps(change(told)).encode())


@way_to_be_bad
def another_output_than_recorded(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(told: Any) -> Any:
        row = chance.randrange(5)
        way = chance.randrange(7)
        if way == 0:
            told["prediction"][row] = "no" if told["prediction"][row] == "yes" else "yes"
        elif way == 1:
            told["probabilities"][row][0] += chance.choice([-1, 1]) * 10 ** -chance.uniform(1, 4)
        elif way == 2:
            told["prediction"].pop()
        elif way == 3:
            del told["probabilities"]
        elif way == 4:
            told["prediction"] = chance.choice([None, 7, "yes", {}, [], [[]], [["yes"]] * 5])
        elif way == 5:
            told["probabilities"] = chance.choice(
                [None, [], [[1.0]] * 5, [[0.5, 0.25, 0.25]] * 5, "x", [["a", "b"]] * 5]
            )
        else:
            told = {}
        return told

    _with_document(folder, good.skops, "expected.json", change)
    return bad(folder, "what it says of its example is not what was recorded")


@way_to_be_bad
def an_example_that_does_not_fit(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(told: Any) -> Any:
        way = chance.randrange(5)
        if way == 0:
            told["columns"][chance.randrange(5)] = chance.choice(["", "other", None, 7])
        elif way == 1:
            told["data"][2].pop()
        elif way == 2:
            told["data"][1][0] = chance.choice(["x", None, [], 10**30])
        elif way == 3:
            told["data"] = chance.choice([None, 7, {}, [7], [[]]])
        else:
            del told[chance.choice(["columns", "data"])]
        return told

    _with_document(folder, good.skops, "example.json", change)
    return bad(folder, "its example does not fit its signature")


@way_to_be_bad
def a_signature_that_does_not_fit(chance: random.Random, folder: Path, good: Sound) -> Bad:
    def change(told: Any) -> Any:
        properties = told["input"]["properties"]
        name = chance.choice(sorted(properties))
        way = chance.randrange(6)
        if way == 0:
            del properties[name]
        elif way == 1:
            properties[name]["type"] = chance.choice(["object", "", None, 7, ["array", "null"], []])
        elif way == 2:
            properties["city"]["type"] = chance.choice(["number", "integer", "boolean"])
        elif way == 3:
            properties["age"].update(minimum=1000.0)
        elif way == 4:
            told["input"]["properties"] = chance.choice([[], None, {}, 7])
        else:
            properties["city"]["enum"] = ["Rome"]
        return told

    _with_document(folder, good.skops, "signature.json", change)
    return bad(folder, "its example does not fit its signature|its signature is none that a server can check")


@way_to_be_bad
def no_document(chance: random.Random, folder: Path, good: Sound) -> Bad:
    name = chance.choice(["signature.json", "example.json", "expected.json", "reference.json"])
    text = chance.choice([b"", b"{", b"[" * 100_000, b"null", b"\xff", b"[]", b"7", b"{'a': 1}"])
    exchange(copied(folder, good.skops), name, text)
    return bad(folder, "it is no JSON|it is not what a model folder holds by this name")
