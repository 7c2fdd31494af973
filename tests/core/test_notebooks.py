"""Notebooks by their cells: outputs and metadata do not count, sources and the cell of parameters do."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from runner.core.notebooks import NotNotebook, read_notebook
from runner.core.syntax import Import

NOTEBOOK: dict[str, Any] = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python", "version": "3.11.7"},
        "widgets": {"state": 1},
    },
    "cells": [
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": ["# Title\n", "text"],
            "attachments": {"a.png": {"x": "y"}},
        },
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "depth = 3", "outputs": []},
        {
            "cell_type": "code",
            "metadata": {"collapsed": True},
            "execution_count": 3,
            "source": "%matplotlib inline\nfrom src.helpers import scale\n!ls\nscale?\n",
            "outputs": [{"output_type": "stream", "text": "long"}],
        },
        {"cell_type": "code", "metadata": {}, "source": "%%bash\nimport nothing", "outputs": []},
    ],
}


def digest(change: Callable[[dict[str, Any]], object] = lambda value: None) -> str:
    """What a changed notebook counts by."""
    value = copy.deepcopy(NOTEBOOK)
    change(value)
    return read_notebook(json.dumps(value).encode()).digest


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["cells"][2].update(outputs=[], execution_count=None),
        lambda value: value["metadata"].pop("widgets"),
        lambda value: value["metadata"]["language_info"].update(version="3.13.0"),
        lambda value: value["cells"][2].update(metadata={}, id="a1"),
        lambda value: value["cells"][1]["metadata"]["tags"].append("hide-input"),
        lambda value: value["cells"][0].update(source="# Title\ntext"),
        lambda value: value.update(nbformat_minor=4),
    ],
)
def test_outputs_and_most_metadata_do_not_count(change: Callable[[dict[str, Any]], object]) -> None:
    assert digest(change) == digest()


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["cells"][2].update(source="1"),
        lambda value: value["cells"][1].update(metadata={}),
        lambda value: value["cells"][1].update(cell_type="raw"),
        lambda value: value["cells"].reverse(),
        lambda value: value["cells"].append({"cell_type": "code", "source": ""}),
        lambda value: value["metadata"]["kernelspec"].update(name="ir"),
        lambda value: value["cells"][0]["attachments"]["a.png"].update(x="z"),
    ],
)
def test_sources_kernel_and_the_cell_of_parameters_count(change: Callable[[dict[str, Any]], object]) -> None:
    assert digest(change) != digest()


def test_imports_of_python_cells_are_found_past_magic_lines() -> None:
    assert read_notebook(json.dumps(NOTEBOOK).encode()).imports == (Import(0, "src.helpers", ("scale",)),)


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from src import near\nfiles = !ls", ["src"]),
        ("import near\nx = (a\n     % b)", ["near"]),
        ("import near\ntext = (a\n  % b)\n!ls", ["near"]),
        ("%%time\nimport near", ["near"]),
        ("%%capture out\nimport near; x = !ls", ["near"]),
        ("from src import (  # two\n  near,\n  far,\n)\nx = %sql select 1", ["src"]),
        ("import near, \\\n  far\n!ls \\\n -l", ["near", "far"]),
        ("%run -i ./src/near.py 1", ["src.near"]),
        ("%run ../near.py\n%run https://x/y", []),
        ("%%writefile near.py\nimport far", []),
        ("# import far\nx = !ls\nfrom", []),
    ],
)
def test_imports_of_a_cell_that_only_ipython_understands_are_found(source: str, modules: list[str]) -> None:
    value = {**NOTEBOOK, "cells": [{"cell_type": "code", "source": source}]}
    assert [one.module for one in read_notebook(json.dumps(value).encode()).imports] == modules


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[1]", b"[" * 100_000, b"\xff", b'{"nbformat": 3, "cells": []}', b'{"nbformat": 4}'),
        *(b'{"nbformat": 4, "cells": [1]}', b'{"nbformat": 4, "cells": [{"source": 1}]}'),
        b'{"nbformat": 4, "cells": [{"source": "", "attachments": NaN}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "%s"}]}' % (b"x" * ((1 << 20) + 1)),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_notebook_is_refused(data: bytes) -> None:
    with pytest.raises(NotNotebook):
        read_notebook(data)
