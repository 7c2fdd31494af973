"""`runner` as a command of stages: the runner that runs them, whatever else their PATH may hold.

A stage of the library is the line `runner stage NAME ...`. A file that lies in the working folder and is called like
a module of ours or of a library is never imported: that folder is not on Python's path (`-P`), and what the stage's
`env` says about that path does not count. Hashes of texts follow the seed, so that no order depends on chance.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from runner import __file__ as _package

_NAME = "runner"
_SCRIPT = """\
#!/bin/sh
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP
export PYTHONHASHSEED="${{PYTHONHASHSEED:-0}}"
exec {words} "$@"
"""
_START = "import sys; {path}from runner.cli.main import main; sys.argv[0] = 'runner'; sys.exit(main())"


def own_command(folder: Path) -> Path:
    """Write the command into `folder`, which is made, and return the folder: to be put first on a PATH."""
    root = str(Path(_package).parents[1])
    # A checkout that is not installed, or another one than the one installed, is still the runner that runs.
    path = "" if "site-packages" in root else f"sys.path.insert(0, {root!r}); "
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _NAME
    words = shlex.join([sys.executable, "-P", "-c", _START.format(path=path)])
    file.write_text(_SCRIPT.format(words=words), encoding="utf-8")
    file.chmod(0o755)
    return folder
