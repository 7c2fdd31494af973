"""The text of `dvc.lock`, byte for byte as DVC writes it, stage by stage; reading it belongs to the specs room."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from runner.data.yaml_text import block

HEADER = "schema: '2.0'\nstages:\n"
"""What comes before the first stage; followed by blocks in any order it is a whole lock file."""

_EMPTY = "schema: '2.0'\nstages: {}\n"


def dumps(entries: Mapping[str, Mapping[str, Any]], datasets: Any = None) -> str:
    """A whole `dvc.lock` of these stages, in the order given; `datasets` is that top-level key, kept as it was."""
    text = HEADER + "".join(stage_block(name, entry) for name, entry in entries.items()) if entries else _EMPTY
    return text + (_by_dvc({"datasets": datasets}) if datasets is not None else "")


def stage_block(name: str, entry: Mapping[str, Any]) -> str:
    """The lines of one stage below `stages:`."""
    text = block({name: entry}, 2)
    if text is not None:
        return text
    plain = {name: _plain(entry)}
    return block(plain, 2) or _by_dvc({"stages": plain}).removeprefix("stages:\n")


def entry_text(entry: Mapping[str, Any]) -> str:
    """One entry as a document of its own, as DVC's run-cache holds it."""
    text = block(entry, 0) if type(entry) is dict else None
    if text is not None:
        return text
    plain = _plain(entry)
    return block(plain, 0) or _by_dvc(plain)


def _plain(value: Any) -> Any:
    """A copy of plain dicts and lists that share nothing, so that no serialiser writes anchors."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    # A date that two entries share would become an anchor too; scalars proper never do.
    return value if value is None or isinstance(value, (str, bytes, int, float)) else copy.copy(value)


def _by_dvc(value: Any) -> str:
    from dvc.utils.serialize import dumps_yaml  # imported late: start-up

    text = str(dumps_yaml(_plain(value)))
    return text if _reads_back(text, value) else _on_one_line(_plain(value))


def _reads_back(text: str, value: Any) -> bool:
    from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml  # imported late: start-up

    try:
        return repr(parse_yaml(text, "dvc.lock")) == repr(value)
    except YAMLFileCorruptedError:
        return False


def _on_one_line(value: Any) -> str:
    """DVC's text without folding, for strings that ruamel.yaml folds in a way that does not read back."""
    import io

    from dvc.utils.serialize import _yaml  # imported late: start-up

    serialiser = _yaml._get_yaml()
    serialiser.width = 1 << 30
    text = io.StringIO()
    serialiser.dump(_quoted(value), text)
    return text.getvalue()


def _quoted(value: Any) -> Any:
    """Strings with a next-line character in double quotes: in single ones it would read back as a space."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString  # imported late: start-up

    if isinstance(value, dict):
        return {_quoted(key): _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) and "\x85" in value else value
