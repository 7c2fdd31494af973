"""Git objects that no git would write: names of trees that escape, blobs that grow, sizes that lie, names that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.hostile.ground import HARMLESS, Ground
from tests.hostile.kinds import EITHER, FINDING, HEAD, PLAN, READ_FILES, REFUSED, Case, mechanism, stages
from tests.hostile.store import FILE, FOLDER, Entry, link

ANY = EITHER | REFUSED


@mechanism
def names_in_trees() -> Iterator[Case]:
    """Trees with names that a checkout must never write."""
    for name in (
        b"..",
        b".",
        b".git",
        b".GIT",
        b"",
        b"a\\b",
        b"a\nb",
        b"\xff\xfe",
        b"\x1b[2J",
        b".g\xe2\x80\x8cit",
        b"git~1",
        b"con",
        b"a:b",
        b" ",
        b"runner.yaml ",
    ):
        yield Case(f"file {name!a}", prepare=_tree([(name, FILE)]), ends=ANY)
        yield Case(f"folder {name!a}", prepare=_tree([(name, FOLDER)]), ends=ANY)
    yield Case("a slash", prepare=_tree([(b"../../x", FILE)]), ends=ANY)
    yield Case("twice", prepare=_tree([(b"a", FILE), (b"a", FILE)]), ends=ANY)
    yield Case("a file and a folder", prepare=_tree([(b"a", FILE), (b"a", FOLDER)]), ends=ANY)
    yield Case("not in order", prepare=_tree([(b"z", FILE), (b"a", FILE)]), ends=ANY)
    for mode in ("000000", "777777", "107777", "0", "100664", "140000", "1" * 40):
        yield Case(f"mode {mode}", prepare=_tree([(b"a", mode)]), ends=ANY)


def _tree(rows: list[tuple[bytes, str]]) -> Callable[[Ground], str]:
    def prepare(ground: Ground) -> str:
        store = ground.store
        inner = store.tree({"x": "1"})
        blob = store.put("blob", b"1")
        spec = store.put("blob", HARMLESS.encode())
        entries = [(b"in", FILE, blob), (b"runner.yaml", FILE, spec)]
        entries += [(name, mode, inner if mode == FOLDER else blob) for name, mode in rows]
        return store.commit(store.raw_tree(entries), parents=[ground.base])

    return prepare


@mechanism
def trees_that_multiply() -> Iterator[Case]:
    """A few trees that stand for billions of paths, or for themselves."""
    for width, depth in ((10, 12), (100, 6), (2, 40), (1, 2_000)):
        yield Case(f"{width} to the {depth}", prepare=_multiplied(width, depth), ends=ANY)

    def wide(ground: Ground) -> str:
        blob = ground.store.put("blob", b"1")
        spec = ground.store.put("blob", HARMLESS.encode())
        rows = [(b"d%07d" % n, FILE, blob) for n in range(60_000)]
        return ground.store.commit(ground.store.raw_tree([*rows, (b"in", FILE, blob), (b"runner.yaml", FILE, spec)]))

    yield Case("a wide folder", prepare=wide, ends=PLAN)

    def cut(ground: Ground) -> str:
        return ground.store.commit(ground.store.put("tree", b"100644 a\0" + b"1" * 7), parents=[ground.base])

    yield Case("cut off", prepare=cut, ends=ANY)

    def huge(ground: Ground) -> str:
        return ground.store.commit(ground.store.put("tree", b"\0" * (40 << 20)), parents=[ground.base])

    yield Case("huge", prepare=huge, ends=ANY)


def _multiplied(width: int, depth: int) -> Callable[[Ground], str]:
    def prepare(ground: Ground) -> str:
        store = ground.store
        tree = store.tree({"x": "1"})
        for _ in range(depth):
            tree = store.raw_tree([(b"%03d" % n, FOLDER, tree) for n in range(width)])
        rows = [(b"big", FOLDER, tree), (b"runner.yaml", FILE, store.put("blob", HARMLESS.encode()))]
        return store.commit(store.raw_tree(rows), parents=[ground.base])

    return prepare


SPEC_LIKE = (*READ_FILES, "params.yaml", "pipelines/p.yaml", "uv.lock")


@mechanism
def blobs_that_grow() -> Iterator[Case]:
    """A few kilobytes of a pack that become very many when they are opened."""
    for file in SPEC_LIKE:
        for letter in (b"\0", b"#", b"- a\n"):
            data = letter * ((24 << 20) // len(letter))
            files = stages("a: {cmd: x, params: [x], environment: {lock: uv.lock}}")
            yield Case(f"{file} of {letter!r}", {**files, file: data}, ends=ANY)
    many = {f"d{n}.dvc": b"#" * (3 << 20) for n in range(30)}
    yield Case("many .dvc files", many, ends=ANY)
    folders = {f"d{n}/.dvcignore": b"#" * (3 << 20) for n in range(30)}
    yield Case("many .dvcignore files", folders, ends=ANY)
    yield Case("a link", {**stages("a: {cmd: 'x ${x}'}"), "params.yaml": link(b"x" * (5 << 20))}, ends=ANY)
    yield Case("what is depended on", {"in": b"\0" * (40 << 20)}, ends=PLAN)


@mechanism
def objects_that_lie() -> Iterator[Case]:
    """Objects under names or with sizes that are not theirs."""
    evil = (HEAD + "  stages:\n    evil: {cmd: evil, deps: [in]}\n").encode()

    def named(ground: Ground) -> str:
        true = ground.store.put("blob", b"# the true one\n" + HARMLESS.encode())
        ground.store.put("blob", evil, name=true)
        return ground.store.commit(ground.store.tree({"runner.yaml": Entry(FILE, oid=true), "in": "1"}))

    def tree(ground: Ground) -> str:
        true = ground.store.tree({"runner.yaml": HARMLESS, "in": "2"})
        false = ground.store.tree({"runner.yaml": evil, "in": "2"})
        import zlib

        file = ground.git_dir / "objects" / false[:2] / false[2:]
        body = zlib.decompress(file.read_bytes()).partition(b"\0")[2]
        ground.store.put("tree", body, name=true)
        return ground.store.commit(true)

    def missing(ground: Ground) -> str:
        return ground.store.commit(ground.store.tree({"runner.yaml": Entry(FILE, oid="9" * 40)}))

    def kind(ground: Ground) -> str:
        inner = ground.store.tree({"x": "1"})
        return ground.store.commit(ground.store.tree({"runner.yaml": Entry(FILE, oid=inner), "in": "1"}))

    def folder(ground: Ground) -> str:
        blob = ground.store.put("blob", b"1")
        rows = [(b"d", FOLDER, blob), (b"runner.yaml", FILE, ground.store.put("blob", HARMLESS.encode()))]
        return ground.store.commit(ground.store.raw_tree(rows))

    def itself(ground: Ground) -> str:
        rows = [(b"d", FOLDER, "5" * 40), (b"runner.yaml", FILE, ground.store.put("blob", HARMLESS.encode()))]
        data = b"".join(m.encode() + b" " + name + b"\0" + bytes.fromhex(o) for name, m, o in rows)
        ground.store.put("tree", data, name="5" * 40)
        return ground.store.commit("5" * 40)

    def garbage(ground: Ground) -> str:
        oid = "7" * 40
        file = ground.git_dir / "objects" / oid[:2] / oid[2:]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"no zlib at all")
        return ground.store.commit(ground.store.tree({"runner.yaml": Entry(FILE, oid=oid)}))

    def tag(ground: Ground) -> str:
        inner = ground.base
        for n in range(200):
            inner = ground.store.put(
                "tag", f"object {inner}\ntype {'commit' if n == 0 else 'tag'}\ntag t{n}\n\n".encode()
            )
        ground.store.ref("refs/tags/deep", inner)
        return "deep"

    def commit(ground: Ground) -> str:
        return ground.store.put("commit", b"tree " + b"z" * 40 + b"\n\n")

    def headless(ground: Ground) -> str:
        return ground.store.put("commit", b"")

    def fathers(ground: Ground) -> str:
        tree = ground.store.tree({"runner.yaml": HARMLESS, "in": "1"})
        return ground.store.commit(tree, parents=["8" * 40] * 3_000)

    for name, prepare in {
        "a blob under a name that is not its own": named,
        "a tree under a name that is not its own": tree,
        "a blob that is missing": missing,
        "a tree where a blob should be": kind,
        "a blob where a tree should be": folder,
        "a tree that holds itself": itself,
        "bytes that are no object": garbage,
        "a commit without a tree": commit,
        "an empty commit": headless,
    }.items():
        yield Case(name, prepare=prepare, ends=REFUSED)
    yield Case("a tag of a tag of a tag", prepare=tag, ends=EITHER)
    yield Case("parents that are missing", prepare=fathers, ends=ANY)
    for said in (0, 1):
        yield Case(f"a size that lies: {said}", prepare=_sized(said), ends=REFUSED)


def _sized(said: int) -> Callable[[Ground], str]:
    def prepare(ground: Ground) -> str:
        oid = ground.store.put("blob", HARMLESS.encode(), name="6" * 40, said_bytes=said)
        return ground.store.commit(ground.store.tree({"runner.yaml": Entry(FILE, oid=oid), "in": "1"}))

    return prepare


@mechanism
def names_of_refs() -> Iterator[Case]:
    """Branches and tags named like options, revisions or commands."""
    for name in (
        "--upload-pack=x",
        "-c",
        "--output=x",
        "@{-1}",
        "HEAD",
        "main^{tree}",
        "a..b",
        ":/x",
        "x;id",
        "$(id)",
        "`id`",
        "'",
        "\x1b[2J",
        "a b",
        "refs/heads/main",
        "runner/state",
        "\u202ex",
        "..",
        "*",
        "~1",
    ):
        yield Case(
            f"asked for: {name!a}",
            prepare=lambda ground, name=name: name if not name.startswith("-") else "./" + name,
            ends=ANY,
        )
    for name in (
        "-x",
        "--exec",
        "a;id",
        "$(touch x)",
        "\u202ex",
        "a\u200bb",
        "x" * 200,
        "##[x]",
        "<b>",
        "runner/state/x",
        "runner/proposed/-c",
        "HEAD",
        "main.lock2",
    ):

        def branch(ground: Ground, name: str = name) -> str:
            ground.store.ref(f"refs/heads/{name}", ground.base)
            ground.store.ref(f"refs/remotes/origin/{name}", ground.base)
            return ground.base

        yield Case(f"a branch {ascii(name)[:30]}", prepare=branch, ends=PLAN)
    for text in (
        "ref: refs/heads/../../../outside/secret",
        "ref: refs/remotes/origin/\xff",
        "x" * 100_000,
        "ref: refs/remotes/origin/-c",
    ):

        def head(ground: Ground, text: str = text) -> str:
            file = ground.git_dir / "refs/remotes/origin/HEAD"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("latin-1") + b"\n")
            return ground.base

        yield Case(f"the remote's default {ascii(text)[:40]}", prepare=head, ends=ANY)


__all__ = ["FINDING"]
