"""Digests against DVC's own."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.data.hashing import dir_digest, dos2unix_md5, file_dos2unix_md5, file_md5, is_digest
from runner.errors import InputError

_PIECES = st.sampled_from([b"\r\n", b"\n", b"\r", b"text ", b"\x00", b"\xff\xfe", b"a,b,c\r\n" * 200, b"\x80" * 300])


@given(st.lists(_PIECES, max_size=30).map(b"".join))
@example(b"")
@example(b"x" * (1 << 20) + b"\r\n" + b"\x00")
@example(b"\x00" * (1 << 20) + b"a\r\nb")
@example(b"y" * ((1 << 20) - 1) + b"\r\n")
def test_the_legacy_digest_is_that_of_dvc(data: bytes) -> None:
    from dvc_data.hashfile.hash import fobj_md5

    assert dos2unix_md5(data) == fobj_md5(io.BytesIO(data), name="md5-dos2unix")


def test_the_legacy_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = b"a\r\nb\r\n" * 300_000
    (tmp_path / "f").write_bytes(data)
    assert file_dos2unix_md5(tmp_path / "f") == dos2unix_md5(data)


_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.dictionaries(st.tuples(_NAMES, _NAMES), st.integers(0, 16**32 - 1).map(lambda number: f"{number:032x}")))
def test_the_digest_of_a_folder_is_that_of_dvc(files: dict[tuple[str, str], str]) -> None:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for parts, md5 in files.items():
        tree.add(parts, None, HashInfo("md5", md5))
    tree.digest()
    digest, listing = dir_digest(("/".join(parts), md5) for parts, md5 in files.items())
    assert digest == tree.oid
    assert listing == tree.as_bytes()


def test_only_digests_are_digests() -> None:
    assert is_digest("0" * 32)
    assert is_digest("a" * 32 + ".dir")
    assert not any(is_digest(text) for text in ["", "A" * 32, "0" * 31, "0" * 32 + "\n", "../" * 11, None, 3])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: neither a file nor a folder"):
        file_md5(tmp_path / "pipe")
