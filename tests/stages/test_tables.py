"""Tables are read as they are, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import InputError
from runner.stages.tables import read_table


@pytest.mark.parametrize("text", ["a,b\n1,2,3\n4,5,6\n", "a,b\n1,2\n4,5,6\n"])
def test_a_row_with_more_values_than_columns_shifts_nothing_and_loses_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=r"t\.csv: it cannot be read as a table: "):
        read_table(tmp_path / "t.csv")


def test_a_comma_at_the_end_of_each_row_is_no_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2,\n4,5,\n")
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"a": [1, 4], "b": [2, 5]}


def test_numbers_and_missing_values_are_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n0.1,x\n1e-12,\n")
    table = read_table(tmp_path / "t.csv")
    assert table["a"].tolist() == [0.1, 1e-12]
    assert table["b"].isna().tolist() == [False, True]


def test_a_file_in_another_encoding_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a\nMüller\n".encode("latin-1"))
    with pytest.raises(InputError, match="it is not in UTF-8: byte 0xfc"):
        read_table(tmp_path / "t.csv")
