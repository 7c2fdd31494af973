"""`runner contract infer` writes a contract that its own table keeps, and never over a file that is there."""

from __future__ import annotations

from pathlib import Path

from runner.stages.contracts.contract import read_contract
from tests.cli.command import call


def test_a_contract_is_written_once_and_printed_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text("id,age\n1,30\n2,\n")
    words = ["contract", "infer", "raw.csv", "--out", "contracts/raw.yaml"]
    assert call(tmp_path, *words).code == 0
    written = tmp_path / "contracts/raw.yaml"
    assert [column.name for column in read_contract(written).columns] == ["id", "age"]
    assert call(tmp_path, "contract", "infer", "raw.csv", "--json").json["text"] == written.read_text()
    again = call(tmp_path, *words)
    assert (again.code, "the file is there already" in again.err) == (1, True)
    assert call(tmp_path, *words, "--force").code == 0
    assert "there is no such file" in call(tmp_path, "contract", "infer", "nothing.csv").err
