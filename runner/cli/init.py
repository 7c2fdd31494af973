"""`runner init`: the first specs of a repository."""

from __future__ import annotations

import argparse
import os
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

from runner.cli.console import Console
from runner.errors import ExitCode, InputError
from runner.specs.adopt import initial_specs
from runner.specs.first_pipeline import Answers, as_name, first_specs
from runner.specs.layout import PROJECT_FILE
from runner.wiring.clone import open_clone, working_folder
from runner.wiring.first_files import example_files, write_first

_EMPTY, _QUICKSTART, _LIBRARY = "empty", "quickstart", "library"
_TEMPLATES = (_QUICKSTART, _LIBRARY, _EMPTY)


def init(arguments: argparse.Namespace, console: Console) -> int:
    """Write the fewest lines that adopt what is there, else a first pipeline to start from."""
    from runner.git.draft import worktree_paths

    folder = working_folder(arguments.folder)
    clone = open_clone(folder, os.environ)
    root = clone.reader.worktree
    if root is None:
        raise InputError("this is a bare repository; specs are written in a working tree", "clone it first")
    if os.path.lexists(root / PROJECT_FILE) and not arguments.force:
        raise InputError(f"{root / PROJECT_FILE} exists", "edit it, or replace it with --force")
    paths = [path for path in worktree_paths(clone.reader) if not (root / path).is_symlink()]
    adopting = initial_specs(paths)
    template: str | None = arguments.template
    if adopting != initial_specs([]):
        if template is not None:
            raise InputError("this repository has a dvc.yaml, which `runner init` adopts", "leave --template out")
        files = {PROJECT_FILE: adopting}
    elif template is None and console.asks and not arguments.yes:
        try:
            files, template = _asked(console, root, paths)
        except KeyboardInterrupt:
            console.say("Nothing was written.")
            raise
    else:
        template = template or _EMPTY
        files = _of_template(template)
    written = write_first(root, files, force=arguments.force)
    value = {"schema": 1, "file": str(root / PROJECT_FILE), "text": files[PROJECT_FILE]}
    told = _told(root, folder, files[PROJECT_FILE], written, clone.has_remote, is_done=template != _EMPTY)
    console.result(told, value | {"template": template, "files": written})
    return ExitCode.DONE


def _of_template(name: str) -> dict[str, str]:
    return {PROJECT_FILE: initial_specs([])} if name == _EMPTY else example_files(name)


def _asked(console: Console, root: Path, paths: Sequence[str]) -> tuple[dict[str, str], str | None]:
    """The files that a person's answers lead to, and the template where they chose one."""
    console.say(
        "There is no pipeline here yet. Enter takes what stands in brackets; Ctrl-C or Ctrl-D leaves all as it is."
    )
    command = console.ask("Command of its first stage, such as `python src/train.py`", "start from a template")
    if not command:
        runs = f"{_QUICKSTART} (a small model that runs at once), {_LIBRARY} (one of ten lines, without code)"
        name = console.ask(f"Template: {runs} or {_EMPTY} (a commented skeleton)", _QUICKSTART) or _QUICKSTART
        while name not in _TEMPLATES:
            asked = f"There is no template {name}; {_QUICKSTART}, {_LIBRARY} or {_EMPTY}"
            name = console.ask(asked, _QUICKSTART) or _QUICKSTART
        return _of_template(name), name
    folder = as_name(root.name, "main")
    pipeline = console.ask("Name of the pipeline", folder) or folder
    outs = console.ask("Files and folders that the command writes, with blanks or commas between", "none")
    return {PROJECT_FILE: first_specs(Answers(command, pipeline, tuple(_words(outs))), set(paths))}, None


def _words(text: str) -> list[str]:
    """Words with blanks or commas between, as a shell reads them: in quotation marks either is part of a name."""
    reading = shlex.shlex(text, posix=True)
    reading.whitespace += ","
    reading.whitespace_split, reading.commenters = True, ""
    try:
        return [word for word in reading if word]
    except ValueError:  # an open quotation mark
        return text.replace(",", " ").split()


def _told(root: Path, folder: Path, text: str, written: Sequence[str], has_remote: bool, *, is_done: bool) -> str:
    """What was written, and the commands that come next, with paths as they are from `folder`."""
    up = os.path.relpath(os.path.realpath(root), os.path.realpath(folder))
    more = [os.path.normpath(f"{up}/{path}") for path in written if path != PROJECT_FILE]
    beside = f"Beside it: {', '.join(more)}.\n\n" if more else ""
    added = dict.fromkeys(os.path.normpath(f"{up}/{path.partition('/')[0]}") for path in written)
    add = " ".join(map(shlex.quote, added))
    commands = [
        "runner validate",
        f"git add {add}",
        'git commit -m "Let the runner reconcile our pipeline"',
        *(["git push -u origin HEAD"] if has_remote else []),
        "runner plan",
        "runner reconcile",
    ]
    then = textwrap.indent("\n".join(commands), "    ")
    first = "Next:" if is_done else "Put in your own commands. Then:"
    return f"Wrote {root / PROJECT_FILE}:\n\n{textwrap.indent(text, '    ')}\n{beside}{first}\n\n{then}\n"
