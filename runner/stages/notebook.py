"""`notebook`: a notebook run from top to bottom by papermill; the executed copy and a page are results.

The source is read and never written. The kernel has the environment of the stage and a pipe of files to it: no
network, nothing of the Jupyter configuration of whoever runs it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.core.notebooks import NotNotebook, read_notebook
from runner.errors import InputError
from runner.specs.builtin_stages import notebook_outs
from runner.specs.guesses import nearest
from runner.stages.executed import counting, page_of, settled
from runner.stages.pages import without_controls
from runner.stages.program import Call, program
from runner.stages.tables import no_such_file

_ROOM_FOR_SOCKETS = 40
"""Bytes of the folder of the kernel's sockets: their paths may have 107 in all."""
_START_SECONDS = 600
_TRACEBACK_LINES = 40
_MISSING = "`pip install gitops-runner[notebook]` brings papermill, nbconvert and ipykernel"


def run(call: Call) -> None:
    """Run the notebook; raises InputError where it cannot be read or run, or a cell fails."""
    path = Path(call.given["notebook"])
    source = _read(path)
    parameters = call.get("parameters", {})
    _check_installed()
    with _apart() as folder:
        copy = folder / "source.ipynb"
        copy.write_text(json.dumps(source), encoding="utf-8")
        _check_parameters(path, copy, parameters)
        executed = _executed(call, path, copy)
    document = settled(executed)
    executed_copy, page = notebook_outs([str(out) for out in call.outs])
    texts = []
    if page is not None:
        texts.append((page, page_of(document, str(path))))
    if executed_copy is not None:
        texts.append((executed_copy, json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"))
    _check_written(call, {name for name, _ in texts})
    for name, text in texts:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    """What counts of the notebook: a result depends on what stands in the run key, and on nothing else in the file."""
    try:
        data = path.read_bytes()
        read_notebook(data)
    except FileNotFoundError:
        raise no_such_file(path) from None
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {error.strerror}", "name a notebook") from error
    except NotNotebook as error:
        hint = "open it in Jupyter and save it: that makes it one of format 4"
        raise InputError(f"{path}: it is no notebook that can be run: {error}", hint) from None
    found: dict[str, Any] = json.loads(data)
    return counting(found)


def _check_installed() -> None:
    import importlib.util

    missing = [name for name in ("papermill", "nbconvert", "ipykernel") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"notebooks need {', '.join(missing)}, which is not installed", _MISSING)


@contextmanager
def _apart() -> Iterator[Path]:
    """A folder for the kernel's sockets and for all that Jupyter would look up or keep in the home, for a while."""
    usual = tempfile.gettempdir()
    short = usual if len(os.fsencode(usual)) <= _ROOM_FOR_SOCKETS else "/tmp"
    with tempfile.TemporaryDirectory(dir=short, prefix="nb") as name:
        folder = Path(name)
        os.environ |= {
            "JUPYTER_NO_CONFIG": "1",
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": name,
            "JUPYTER_PLATFORM_DIRS": "1",
            "IPYTHONDIR": str(folder / "ipython"),
        }
        for variable in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH"):
            os.environ.pop(variable, None)
        yield folder


def _check_parameters(path: Path, copy: Path, parameters: Mapping[str, Any]) -> None:
    """A parameter that the notebook does not name in its cell tagged `parameters` is a mistake, and often a typo."""
    import papermill

    known = papermill.inspect_notebook(str(copy)) if parameters else {}
    for name in parameters:
        if known and name not in known:
            close = nearest(name, known)
            hint = f"did you mean `{close}`?" if close else f"it has: {', '.join(known)}"
            raise InputError(f"{path}: it has no parameter `{name}`", hint)


def _executed(call: Call, path: Path, source: Path) -> dict[str, Any]:
    """What papermill makes of `source`, a copy of the notebook; its path is for messages."""
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    kernel = call.get("kernel")
    settings: dict[str, Any] = {"KernelManager": {"transport": "ipc"}}
    if kernel is None:
        # The Python that runs this stage, whatever kernels are installed under the name in the notebook.
        settings["KernelSpecManager"] = {"kernel_dirs": []}
    copy = source.with_name("executed.ipynb")
    try:
        papermill.execute_notebook(
            str(source),
            str(copy),
            parameters=call.get("parameters", {}),
            kernel_name=kernel or "python3",
            start_timeout=_START_SECONDS,
            progress_bar=False,
            log_output=False,
            config=Config(settings),
        )
    except PapermillExecutionError as error:
        _tell(error.traceback)
        number = _number_of(json.loads(copy.read_bytes())["cells"], error.cell_index)
        told = without_controls(f"{error.ename}: {error.evalue}")[:500]
        raise InputError(f"{path}: cell {number} failed: {told}", "run it in Jupyter up to that cell") from None
    except Exception as error:
        told = without_controls(f"{type(error).__name__}: {error}").strip()[:500]
        hint = f"there is no kernel `{kernel}` here: install it, or leave `kernel` out" if kernel else "see above"
        raise InputError(f"{path}: it cannot be run: {told}", hint) from error
    found: dict[str, Any] = json.loads(copy.read_bytes())
    return found


def _number_of(cells: list[Any], index: int) -> int:
    """The number of a cell in the source, from 1: papermill put a cell with the parameters before it."""
    return 1 + sum(1 for cell in cells[:index] if "injected-parameters" not in cell["metadata"].get("tags", ()))


def _tell(traceback: list[str]) -> None:
    lines = without_controls("\n".join(traceback)).splitlines()
    sys.stderr.write("\n".join([*lines[-_TRACEBACK_LINES:], ""]))


def _check_written(call: Call, ours: set[str]) -> None:
    """What is neither the copy nor the page, the notebook writes itself."""
    for out in (*call.outs, *call.metrics, *call.plots):
        if str(out) not in ours and not out.exists():
            raise InputError(f"{out}: the notebook did not write it", "write it in a cell, from `wdir` on")


main = program("notebook", run)

if __name__ == "__main__":
    raise SystemExit(main())
