"""`validate`: a table against a data contract; fail, put bad rows aside, or warn."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from runner.errors import InputError
from runner.stages.contracts import reading, report
from runner.stages.contracts.checks import Asked, outcomes
from runner.stages.contracts.contract import OF_ROWS, Contract, read_contract, time_of
from runner.stages.pages import is_page, write_page
from runner.stages.program import Call, program
from runner.stages.written import write_json

_TOLD = 30


def run(call: Call) -> None:
    """Check the table `data`; raises InputError where it breaks the contract in a way that may not be."""
    contract = read_contract(call.given["contract"])
    on_fail = call.get("on_fail", "fail")
    tables, pages = [out for out in call.outs if not is_page(out)], [out for out in call.outs if is_page(out)]
    _check_outs(contract, on_fail, tables, pages)
    data = call.given["data"]
    asked = Asked(
        contract,
        reading.read_typed(data, contract.columns, contract.missing_values),
        _reference(call, contract),
        _as_of(call.get("as_of")),
        reading.ends_with_newline(data),
    )
    most = call.get("max_quarantined", 0.1)
    verdict = report.judged(contract, outcomes(asked), asked.table.shape, on_fail, most)
    write_json(call.metrics, report.figures(verdict))
    for page in pages:
        write_page("validation", report.document(verdict, str(data), contract.file), page)
    told = report.lines(verdict)
    if not verdict.valid:
        raise InputError(_sentence(data, contract, told), _what_to_do(call))
    for line in told[:_TOLD]:
        sys.stderr.write(f"validate: {line}\n")
    if tables:
        reading.write_good(data, verdict.good, tables[0])
    if len(tables) > 1:
        reading.write_bad(data, verdict.good, report.reasons(verdict), tables[1])


def _what_to_do(call: Call) -> str:
    """A stage that failed leaves no output: how to get the page all the same."""
    asked = [name for name in ("data", "contract", "reference", "as_of") if name in call.given]
    words = shlex.join(f"--{name}={call.given[name]}" for name in asked)
    again = f"runner stage validate {words} --on_fail=warn --out=page.html"
    return f"mend the data; or change the contract, which is a commit to review. A page of all of it: `{again}`"


def _check_outs(contract: Contract, on_fail: str, tables: list[Path], pages: list[Path]) -> None:
    if len(tables) == 2 or on_fail == "warn":
        return
    words = {contract.severity(check, column) for check in OF_ROWS for column in (None, *contract.columns)}
    if on_fail == "quarantine" or "quarantine" in words:
        message = "rows may be put aside, and there is no place for them"
        raise InputError(message, "name two tables: one for the good rows, one for the bad ones")


def _reference(call: Call, contract: Contract) -> Any:
    path = call.get("reference")
    return reading.read_typed(path, contract.columns, contract.missing_values) if path else None


def _as_of(text: str | None) -> Any:
    """The moment that counts as now; raises InputError where the text is none."""
    import pandas

    if text is None:
        return None
    moment = pandas.Timestamp.now(tz="UTC") if text == "now" else time_of(text)
    if moment is None:
        raise InputError(f"`as_of` is no time: `{text}`", "write 2026-01-31, with a time of day or without, or now")
    return moment


def _sentence(data: str, contract: Contract, told: list[str]) -> str:
    more = [f"... and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return "\n  ".join([f"{data}: it is not what {contract.file} asks for:", *told[:_TOLD], *more])


main = program("validate", run)

if __name__ == "__main__":
    raise SystemExit(main())
