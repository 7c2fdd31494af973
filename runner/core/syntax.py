"""A Python module by what it says: a digest that formatting and comments do not change, its imports and its names.

The digest is of a walk of our own over the syntax tree, since `ast.dump` differs between versions of Python: fields
that say nothing (`None`, an empty list, 0) are left out, so that a field which a later version adds changes nothing
where it is not used. Docstrings count: a program can read them. Line numbers do not count.
"""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from runner.values import dataclass, field

AST = "ast:"
"""What the digest of a syntax tree begins with, where digests of bytes begin with nothing."""
_WITHOUT_MEANING = frozenset(["ctx", "type_comment", "type_ignores", "kind"])
"""`ctx` follows from the place in the tree; `kind` is the u of u"text"."""
_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK = re.compile(rb"[ \t\f]*(#.*)?\r?$")
_ENCODINGS = {
    **dict.fromkeys(["utf-8", "utf8", "utf-8-sig"], "utf-8"),
    **dict.fromkeys(["ascii", "us-ascii"], "ascii"),
    **dict.fromkeys(["latin-1", "latin1", "iso-8859-1", "iso8859-1"], "latin-1"),
    **dict.fromkeys(["cp1252", "windows-1252"], "cp1252"),
    **dict.fromkeys(["iso-8859-15", "iso8859-15", "latin-9"], "iso-8859-15"),
}
"""Encodings that a module may name. Others, some of which take long to decode, are as good as no Python."""
_CHAIN = re.compile(r"(?<![\w.])(?:\w++(?:[ \t\f]|\\[\r\n]{1,2})*+\.(?:[ \t\f]|\\[\r\n]{1,2})*+){100}")
"""More parts of one dotted name than anybody writes: CPython joins those of an import one by one and keeps every step,
so that 256 KiB of them take 15 GiB."""
_MOST_NAMES = 10_000
"""Imports, and names at the top of a module, that are told."""


class NotPython(ValueError):
    """What does not parse, with its line and column, from 1; 0 where that is not known."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement: `from ..a import b` has the level 2, the module `a` and the name `b`."""

    level: int
    module: str
    names: tuple[str, ...] = ()
    """What is taken from the module; `*` for all."""

    def as_json(self) -> list[Any]:
        """Plain JSON."""
        return [self.level, self.module, list(self.names)]

    @staticmethod
    def from_json(row: list[Any]) -> Import:
        """The inverse of `as_json`."""
        return Import(row[0], row[1], tuple(row[2]))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function."""

    name: str
    kind: str
    """`plain`, `positional` (it cannot be named), `keyword`, or `rest` (`**name`)."""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A name at the top of a module."""

    line: int
    parameters: tuple[Parameter, ...] | None = None
    """Of a function that is defined once and has no decorator; None for anything else."""

    def as_json(self) -> list[Any]:
        """Plain JSON."""
        if self.parameters is None:
            return [self.line, None]
        return [self.line, [[one.name, one.kind, one.optional] for one in self.parameters]]

    @staticmethod
    def from_json(row: list[Any]) -> Definition:
        """The inverse of `as_json`."""
        return Definition(row[0], None if row[1] is None else tuple(Parameter(*one) for one in row[1]))


@dataclass(frozen=True, slots=True)
class Module:
    """What a module says."""

    digest: str
    imports: tuple[Import, ...] = ()
    exports: tuple[str, ...] = ()
    """Texts in `__all__`."""
    names: Mapping[str, Definition] = field(default_factory=dict)
    is_open: bool = False
    """Whether it may hold names that nobody reads in it, as after `from x import *`."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "digest": self.digest,
            "imports": [one.as_json() for one in self.imports],
            "exports": list(self.exports),
            "names": {name: one.as_json() for name, one in self.names.items()},
            "open": self.is_open,
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Module:
        """The inverse of `as_json`."""
        names = {name: Definition.from_json(one) for name, one in row["names"].items()}
        imports = tuple(map(Import.from_json, row["imports"]))
        return Module(row["digest"], imports, tuple(row["exports"]), names, row["open"])


def read_module(data: bytes) -> Module:
    """What the bytes of a module say; raises NotPython where this version of Python cannot parse them."""
    tree = parsed(_text(data))
    names: dict[str, Definition] = {}
    for name, definition in _definitions(tree):
        known = name in names
        if known or len(names) < _MOST_NAMES:
            names[name] = Definition(definition.line) if known else definition
    imports = imports_of(tree)
    is_open = any("*" in one.names for one in imports) or "__getattr__" in names or len(names) == _MOST_NAMES
    return Module(AST + digest_of(tree), imports, _exports(tree), names, is_open)


def parsed(text: str) -> ast.Module:
    """The syntax tree of a text; raises NotPython."""
    chain = _CHAIN.search(text)
    if chain is not None:
        raise NotPython("a name in it has more than 100 parts", text.count("\n", 0, chain.start()) + 1, 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and the like: they are for whoever runs it
            return ast.parse(text)
    except SyntaxError as error:
        raise NotPython(str(error.msg), error.lineno or 0, error.offset or 0) from None
    except (RecursionError, MemoryError):
        raise NotPython("it is nested too deeply") from None
    except ValueError as error:
        raise NotPython(str(error)) from None


def _text(data: bytes) -> str:
    """The text of a module by the rules of PEP 263; raises NotPython."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    encoding = "utf-8"
    for line in data.split(b"\n", 2)[:2]:
        found = _COOKIE.match(line)
        if found is not None:
            stated = found[1].decode("ascii", "replace").lower().replace("_", "-")
            if stated not in _ENCODINGS:
                raise NotPython(f"its encoding `{stated[:40]}` is not one that is read here", 1, 1)
            encoding = _ENCODINGS[stated]
        if found is not None or not _BLANK.match(line):
            break
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotPython(f"it is not {encoding}", data.count(b"\n", 0, error.start) + 1, 1) from None


def digest_of(tree: ast.AST) -> str:
    """SHA-256 of a syntax tree; equal for all spellings of it."""
    digest = hashlib.sha256()
    part: list[bytes] = []
    for token in _tokens(tree):
        part.append(token)
        if len(part) > 4096:
            digest.update(b"".join(part))
            part.clear()
    digest.update(b"".join(part))
    return digest.hexdigest()


def _tokens(tree: ast.AST) -> Iterator[bytes]:
    """The tree from its root on, without recursion: it may be as deep as the parser allows."""
    left: list[ast.AST | list[Any] | bytes] = [tree]
    while left:
        item = left.pop()
        if isinstance(item, bytes):
            yield item
        elif isinstance(item, list):
            yield b"["
            left.append(b"]")
            left.extend(_said(inner) for inner in reversed(item))
        else:
            yield b"(" + type(item).__name__.encode()
            left.append(b")")
            for name in sorted(type(item)._fields, reverse=True):
                value = getattr(item, name, None)
                if name in _WITHOUT_MEANING or (_is_nothing(value) and not isinstance(item, ast.Constant)):
                    continue
                left.append(_said(value))
                left.append(b" " + name.encode() + b"=")


def _is_nothing(value: Any) -> bool:
    return value is None or (type(value) is int and value == 0) or (type(value) is list and not value)


def _said(value: Any) -> ast.AST | list[Any] | bytes:
    """A value of a tree as a token, unless there is more below it."""
    if isinstance(value, (ast.AST, list)):
        return value
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")
    elif kind is bytes:
        data = value
    elif kind is int:
        data = hex(value).encode()
    else:
        data = repr(value).encode()  # float, complex, bool, None, ...: the shortest text that means the same
    return b"%s%d:%s" % (kind.__name__.encode(), len(data), data)


def imports_of(tree: ast.AST) -> tuple[Import, ...]:
    """All imports, also those inside functions, each once."""
    found: dict[Import, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= dict.fromkeys(Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found[Import(node.level, node.module or "", tuple(alias.name for alias in node.names))] = None
        if len(found) > _MOST_NAMES:
            break
    return tuple(found)


def _exports(tree: ast.Module) -> tuple[str, ...]:
    found: list[str] = []
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            inner = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
            found += [value for value in inner if isinstance(value, str)]
    return tuple(found[:_MOST_NAMES])


def _definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """Names that the module itself gets, also inside `if`, `try` and the like."""
    left: list[ast.AST] = list(reversed(tree.body))
    while left:
        node = left.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, Definition(node.lineno, None if node.decorator_list else _parameters(node.args))
        elif isinstance(node, ast.ClassDef):
            yield node.name, Definition(node.lineno)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], Definition(node.lineno)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                yield node.id, Definition(node.lineno)
        elif not isinstance(node, ast.Lambda):
            left.extend(ast.iter_child_nodes(node))


def _parameters(arguments: ast.arguments) -> tuple[Parameter, ...]:
    plain = [*arguments.posonlyargs, *arguments.args]
    required = len(plain) - len(arguments.defaults)
    found = [
        Parameter(one.arg, "positional" if place < len(arguments.posonlyargs) else "plain", place >= required)
        for place, one in enumerate(plain)
    ]
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(one.arg, "keyword", default is not None))
    if arguments.kwarg is not None:
        found.append(Parameter(arguments.kwarg.arg, "rest", optional=True))
    return tuple(found)
