"""Parameter files in Python, read by their syntax trees and never executed."""

from __future__ import annotations

import ast
import warnings
from typing import Any

from runner.errors import Finding, SpecError
from runner.specs import yaml12
from runner.specs.params import broken


def read_python(text: str, file_name: str) -> Any:
    """Top-level assignments of literals, those of classes, and `self.x = ...` in `__init__`, as DVC has it.

    Raises SpecError for what is no Python, or takes too long to read.
    """
    try:
        with warnings.catch_warnings():
            # Python would warn of odd escapes, and look for the line in a file of this name.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, filename="<parameters>")
        _check_keys(tree, file_name)
        return _assignments(tree.body, self_only=False)
    except SyntaxError as error:
        place = (error.lineno or 0, error.offset or 0)
        raise SpecError([Finding(file_name, *place, f"not Python: {error.msg}", "mend the syntax")]) from error
    except (RecursionError, MemoryError, ValueError) as error:
        raise broken(
            file_name, f"the Python file cannot be parsed: {error}", "keep parameters to plain assignments"
        ) from error


def _check_keys(tree: ast.AST, file_name: str) -> None:
    """Raise SpecError for mappings and sets that take quadratic time to build."""
    costly = 0
    for node in ast.walk(tree):
        keys = node.keys if isinstance(node, ast.Dict) else node.elts if isinstance(node, ast.Set) else ()
        costly += sum(not (isinstance(key, ast.Constant) and not yaml12.is_costly_key(key.value)) for key in keys)
    if costly > yaml12.MAX_COSTLY_KEYS:
        message = f"more than {yaml12.MAX_COSTLY_KEYS:,} keys that are neither text nor small numbers"
        raise broken(file_name, message, "put the keys in quotes")


def _assignments(body: list[ast.stmt], *, self_only: bool) -> dict[str, Any]:
    """Names and literal values that a Python body assigns; a class gives a mapping, other statements nothing."""
    result: dict[str, Any] = {}
    for statement in body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            result.update(_assignment(statement, self_only))
        elif isinstance(statement, ast.ClassDef):
            result[statement.name] = _assignments(statement.body, self_only=False)
        elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            result.update(_assignments(statement.body, self_only=True))
    return result


def _assignment(statement: ast.Assign | ast.AnnAssign, self_only: bool) -> dict[str, Any]:
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
    name = _target_name(targets[0], self_only) if len(targets) == 1 else None
    if name is None or statement.value is None:
        return {}
    try:
        return {name: ast.literal_eval(statement.value)}
    except (ValueError, TypeError, SyntaxError):
        # Not a literal: DVC passes it over too.
        return {}


def _target_name(target: ast.expr, self_only: bool) -> str | None:
    if isinstance(target, ast.Name) and not self_only:
        return target.id
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
        return target.attr
    return None
