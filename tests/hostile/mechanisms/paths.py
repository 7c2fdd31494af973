"""Names and paths: out of the tree, into what belongs to git or the runner, and the same to one eye or file system."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.kinds import EITHER, FINDING, OUTSIDE, OWNED, PLAN, READ_FILES, Case, mechanism, spec, stages
from tests.hostile.store import link, submodule

LEAVING = (
    "../outside/secret", "a/../../outside/secret", "./../x", "../../../../../../etc/passwd", "in/../../x",
    "a//../..//../x", "..", "../", "../.", "x/../..", "./..//in",
)  # fmt: skip
ABSOLUTE = (
    "/etc/passwd", f"{OUTSIDE}/secret", "//etc/passwd", "/../etc/passwd", "~/.ssh/id_rsa", "~root/.bashrc", "/proc/self/environ",
    "/dev/zero", "/dev/stdin", "file:///etc/passwd", "http://127.0.0.1:9/x", "ssh://x/y", "remote://origin/x", "s3://b/k",
)  # fmt: skip


@mechanism
def paths_that_leave() -> Iterator[Case]:
    """`..` in every field that takes a path."""
    for path in LEAVING:
        yield Case(f"dep {path}", stages(f'a: {{cmd: x, deps: ["{path}"]}}'))
        yield Case(f"out {path}", stages(f'a: {{cmd: x, deps: [in], outs: ["{path}"]}}'))
        yield Case(f"wdir {path}", stages(f'a: {{cmd: x, deps: [in], wdir: "{path}"}}'), EITHER)
        yield Case(f"params {path}", stages(f'a: {{cmd: x, params: ["{path}": [x]]}}'))
        yield Case(f"vars {path}", {"dvc.yaml": f'vars: ["{path}"]\nstages: {{a: {{cmd: x}}}}\n'}, EITHER)
        yield Case(
            f"specs {path}", {"runner.yaml": f'apiVersion: runner/v1\nkind: Project\nspec: {{specs: ["{path}"]}}\n'}
        )
        yield Case(f"lock {path}", stages(f'a: {{cmd: x, deps: [in], environment: {{lock: "{path}"}}}}'))
        yield Case(
            f"dvcRoot {path}", {"runner.yaml": f'apiVersion: runner/v1\nkind: Project\nspec: {{dvcRoot: "{path}"}}\n'}
        )


@mechanism
def absolute_paths() -> Iterator[Case]:
    """Places of the host or the network in every field that takes a path."""
    for path in ABSOLUTE:
        yield Case(f"dep {path}", stages(f'a: {{cmd: x, deps: ["{path}"]}}'), EITHER)
        yield Case(f"out {path}", stages(f'a: {{cmd: x, deps: [in], outs: ["{path}"]}}'))
        yield Case(f"wdir {path}", stages(f'a: {{cmd: x, deps: [in], wdir: "{path}"}}'))
        yield Case(f"params {path}", stages(f'a: {{cmd: x, params: ["{path}": [x]]}}'), EITHER)
        yield Case(f"vars {path}", {"dvc.yaml": f'vars: ["{path}"]\nstages: {{a: {{cmd: x}}}}\n'})
        yield Case(
            f"specs {path}", {"runner.yaml": f'apiVersion: runner/v1\nkind: Project\nspec: {{specs: ["{path}"]}}\n'}
        )
        yield Case(f"lock {path}", stages(f'a: {{cmd: x, deps: [in], environment: {{lock: "{path}"}}}}'))


RESERVED = (
    ".git/config", ".GIT/config", ".Git/hooks/x", "a/.git/x", ".git", ".runner/x", ".RUNNER/x", "a/.runner/x", ".dvc/config",
    ".DVC/x", "dvc.yaml", "a/dvc.lock", "x.dvc", ".gitignore", ".dvcignore", "runner.yaml", ".github/workflows/x.yml",
    ".git /x", ".git./x", "git~1/x", ".git::$INDEX_ALLOCATION/x", ".g\u200cit/config", ".gi\u200dt/x", "GIT~1", ".gitmodules",
    "CON", "nul.txt", "aux", "a:b", "a.", "a ", " a", "a\\b", "..\\..\\x", "a\\..\\..\\x", ".", "./", "",
)  # fmt: skip


@mechanism
def reserved_names() -> Iterator[Case]:
    """Outputs that would become git's, DVC's or the runner's own files, on this file system or another."""
    for name in RESERVED:
        quoted = name.replace("\\", "\\\\")
        yield Case(f"out {name!a}", stages(f'a: {{cmd: x, deps: [in], outs: ["{quoted}"]}}'), EITHER)
        yield Case(
            f"metrics {name!a}",
            stages(f'a: {{cmd: x, deps: [in], metrics: ["{quoted}": {{cache: false}}]}}'),
            EITHER,
        )
    for name in (".git/config", ".GIT/config", "a/.git/hooks/x", ".runner/x", ".DVC/x", "."):
        yield Case(f"never {name}", stages(f'a: {{cmd: x, deps: [in], outs: ["{name}"]}}'), FINDING)


@mechanism
def names_that_are_too_long() -> Iterator[Case]:
    """Names and paths that no file system takes."""
    for count in (256, 5_000, 100_000):
        yield Case(f"out {count}", stages(f"a: {{cmd: x, deps: [in], outs: [{'o' * count}]}}"), EITHER)
        yield Case(f"in git {count}", {"d/" + "f" * count: "1"}, EITHER)
        yield Case(
            f"depended on {count}",
            {**stages(f"a: {{cmd: x, deps: [d/{'f' * count}]}}"), "d/" + "f" * count: "1"},
            EITHER,
        )
    for depth in (150, 190, 300):
        path = "/".join(["d"] * depth)
        yield Case(f"depth {depth}", {path + "/f": "1"}, EITHER)
        yield Case(
            f"depended on at depth {depth}", {**stages(f"a: {{cmd: x, deps: [{path}]}}"), path + "/f": "1"}, EITHER
        )
        yield Case(f"out at depth {depth}", stages(f"a: {{cmd: x, deps: [in], outs: [o/{path}]}}"), EITHER)
    yield Case("a stage", stages("? " + "s" * 100_000 + "\n: {cmd: x, deps: [in]}"), EITHER)


TWINS = {
    "composed": ("caf\u00e9", "cafe\u0301"),
    "Cyrillic": ("data", "d\u0430ta"),
    "case": ("Data", "data"),
    "a ligature": ("file", "\ufb01le"),
    "full width": ("a", "\uff41"),
    "a zero-width space": ("ab", "a\u200bb"),
    "a soft hyphen": ("ab", "a\u00adb"),
    "Turkish": ("i", "\u0131"),
    "sharp s": ("strasse", "stra\u00dfe"),
    "Kelvin": ("k", "\u212a"),
    "Angstrom": ("\u00c5", "\u212b"),
    "a variation": ("a", "a\ufe0f"),
}


@mechanism
def unicode_twins() -> Iterator[Case]:
    """Names that look the same, or become the same when they are normalised."""
    for name, (one, other) in TWINS.items():
        yield Case(
            f"outs: {name}",
            stages(f'a: {{cmd: x, deps: [in], outs: ["{one}"]}}\nb: {{cmd: x, deps: [in], outs: ["{other}"]}}'),
            EITHER,
        )
        yield Case(
            f"stages: {name}", stages(f'"{one}": {{cmd: x, deps: [in]}}\n"{other}": {{cmd: x, deps: [in]}}'), EITHER
        )
        yield Case(f"files: {name}", {**stages(f'a: {{cmd: x, deps: ["{other}"]}}'), one: "1"}, EITHER)
        yield Case(
            f"an input as an output: {name}",
            {**stages(f'a: {{cmd: x, deps: ["d/{one}"], outs: ["d/{other}"]}}'), f"d/{one}": "1"},
            EITHER,
        )


@mechanism
def symbolic_links() -> Iterator[Case]:
    """Links that lead out, into git's own folder, to each other, or stand where a file is expected."""
    targets = (
        f"{OUTSIDE}/secret",
        "../outside/secret",
        "/etc/passwd",
        ".git/config",
        "..",
        ".",
        "loop",
        "/dev/zero",
        "/proc/self/environ",
        "in",
        "a/b/c",
        "x" * 5_000,
        "",
    )
    for target in targets:
        name = ascii(target[:40])
        yield Case(f"dep {name}", {**stages("a: {cmd: x, deps: [loop]}"), "loop": link(target)}, EITHER)
        yield Case(f"dep through {name}", {**stages("a: {cmd: x, deps: [loop/secret]}"), "loop": link(target)}, EITHER)
        yield Case(f"params {name}", {**stages("a: {cmd: x, params: [loop: [x]]}"), "loop": link(target)}, EITHER)
        yield Case(f"templates {name}", {**stages("a: {cmd: 'x ${x}'}"), "params.yaml": link(target)}, EITHER)
        yield Case(
            f"out through {name}", {**stages("a: {cmd: x, deps: [in], outs: [loop/o]}"), "loop": link(target)}, EITHER
        )
        yield Case(
            f"lock file {name}",
            {**stages("a: {cmd: x, deps: [in], environment: {lock: loop}}"), "loop": link(target)},
            EITHER,
        )
    for file in (*READ_FILES, "pipelines/p.yaml", ".dvc", ".runner", "pipelines"):
        yield Case(f"{file} outside", {file: link(f"{OUTSIDE}/secret")}, EITHER)
        yield Case(f"{file} to itself", {file: link(file.rpartition("/")[2])}, EITHER)
    many = {f"l{n}": link(f"l{n + 1}") for n in range(300)}
    yield Case("a long way", {**stages("a: {cmd: x, params: [l0: [x]]}"), **many}, EITHER)


@mechanism
def submodules() -> Iterator[Case]:
    """Submodules with URLs and paths that do more than name something."""
    for url in (
        "--upload-pack=" + OWNED,
        f"ext::sh -c {OWNED}",
        "-oProxyCommand=" + OWNED,
        "../../../..",
        "file:///etc",
        "git://127.0.0.1:9/x",
    ):
        modules = f'[submodule "m"]\n\tpath = m\n\turl = {url}\n\tupdate = !{OWNED}\n'
        yield Case(f"url {url[:20]}", {".gitmodules": modules, "m": submodule()}, PLAN)
        yield Case(
            f"dep of {url[:20]}",
            {**stages("a: {cmd: x, deps: [m/x]}"), ".gitmodules": modules, "m": submodule()},
            EITHER,
        )
    for path in ("../x", ".git/modules/x", "-u", "a b", "m"):
        yield Case(
            f"path {path}",
            {".gitmodules": f'[submodule "../../x"]\n\tpath = {path}\n\turl = x\n', "m": submodule()},
            PLAN,
        )
    for file in ("runner.yaml", "dvc.yaml", "pipelines", ".dvc", "params.yaml", "in", "m.dvc"):
        yield Case(f"as {file}", {file: submodule()}, EITHER)


@mechanism
def large_file_pointers() -> Iterator[Case]:
    """Pointers of LFS, where the bytes are asked for by whoever believes them."""
    for size in ("12345", "99999999999999999999", "-1", "x"):
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize {size}\n"
        attributes = "* filter=lfs diff=lfs merge=lfs -text\n"
        config = f"[lfs]\n\turl = ext::{OWNED}\n"
        yield Case(f"dep of {size}", {"in": pointer, ".gitattributes": attributes, ".lfsconfig": config}, EITHER)
        yield Case(
            f"params of {size}",
            {**stages("a: {cmd: x, params: [size]}"), "params.yaml": pointer, ".gitattributes": attributes},
            EITHER,
        )
        yield Case(f"spec of {size}", {"runner.yaml": pointer, ".gitattributes": attributes}, EITHER)


@mechanism
def options_as_paths() -> Iterator[Case]:
    """Paths that a program would take for options."""
    for name in (
        "-rf",
        "--upload-pack=x",
        "-c",
        "--help",
        "-",
        "--",
        "-oProxyCommand=x",
        "--git-dir=/x",
        "@{u}",
        ":(glob)**",
        ":/",
        "*",
        "[a",
        "a\\",
        "'",
        '"',
        "`id`",
        "$(id)",
        ";id",
        "|id",
        "&",
        "a\tb",
    ):
        quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        yield Case(f"dep {name!a}", {**stages(f'a: {{cmd: x, deps: ["{quoted}"]}}'), name: "1"}, EITHER)
        yield Case(f"out {name!a}", stages(f'a: {{cmd: x, deps: [in], outs: ["{quoted}"]}}'), EITHER)
        yield Case(
            f"a spec {name!a}",
            {f"pipelines/{name}.yaml": spec("  stages: {}\n")["runner.yaml"], "runner.yaml": ""},
            EITHER,
        )
