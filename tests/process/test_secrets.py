"""Secrets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import HostError, InputError
from runner.process import secrets


def test_a_value_comes_from_the_environment_or_a_file_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "B").write_text("from file\n")
    (tmp_path / "A").write_text("not asked")
    assert secrets.resolve(["A", "B"], {"A": "from environment", "RUNNER_SECRETS_DIR": str(tmp_path)}) == {
        "A": "from environment",
        "B": "from file",
    }


@pytest.mark.parametrize(
    ("text", "value"), [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x ")]
)
def test_one_line_end_is_not_part_of_a_value(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "A").write_bytes(text.encode())
    assert secrets.resolve(["A"], {}, tmp_path) == {"A": value}


def test_every_secret_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="2 secrets are missing: B, C") as caught:
        secrets.resolve(["C", "A", "B"], {"A": "a", "C": ""})
    assert "RUNNER_SECRETS_DIR" in caught.value.hint


def test_every_stage_that_needs_a_missing_secret_is_named() -> None:
    many = [f"p:s{number}" for number in range(7)]
    with pytest.raises(InputError) as caught:
        secrets.resolve(["A", "B"], {}, needed_by={"A": ["p:train"], "B": many})
    assert caught.value.message == (
        "2 secrets are missing: A (needed by p:train), B (needed by p:s0, p:s1, p:s2, p:s3, p:s4 and 2 more)"
    )
    assert "`A=...`" in caught.value.hint


def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not the name of a secret: '\.\./x'"):
        secrets.resolve(["../x"], {}, tmp_path)


def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    with pytest.raises(HostError, match="A: Is a directory"):
        secrets.resolve(["A"], {}, tmp_path)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\0b"])
def test_bytes_that_no_variable_can_hold_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "A").write_bytes(data)
    with pytest.raises(InputError, match="A: the secret"):
        secrets.resolve(["A"], {}, tmp_path)
