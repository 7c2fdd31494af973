"""A clone that was handed over whole: its configuration, hooks, attributes, and what its `.git` points at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from tests.hostile.ground import HARMLESS, Ground
from tests.hostile.kinds import EITHER, OUTSIDE, OWNED, PLAN, REFUSED, Case, mechanism, stages
from tests.hostile.store import FILE, Entry, Store

ANY = EITHER | REFUSED

PROGRAMS = {
    "core.fsmonitor": f"[core]\n\tfsmonitor = {OWNED}\n\tuntrackedCache = true\n",
    "core.hooksPath": f"[core]\n\thooksPath = {OUTSIDE}/..\n",
    "core.sshCommand": f"[core]\n\tsshCommand = {OWNED}\n[remote \"origin\"]\n\turl = ssh://127.0.0.1:9/x\n",
    "core.pager": f"[core]\n\tpager = {OWNED}\n[pager]\n\tcat-file = {OWNED}\n\trev-parse = {OWNED}\n\tfor-each-ref = {OWNED}\n",
    "core.editor": f"[core]\n\teditor = {OWNED}\n\taskPass = {OWNED}\n",
    "core.gitProxy": f"[core]\n\tgitProxy = {OWNED}\n[remote \"origin\"]\n\turl = git://127.0.0.1:9/x\n",
    "core.alternateRefsCommand": f"[core]\n\talternateRefsCommand = {OWNED}\n",
    "alias": "".join(f"[alias]\n\t{word} = !{OWNED}\n" for word in ("cat-file", "rev-parse", "for-each-ref", "config", "ls-files", "rev-list")),
    "diff.external": f"[diff]\n\texternal = {OWNED}\n[diff \"x\"]\n\tcommand = {OWNED}\n\ttextconv = {OWNED}\n",
    "merge driver": f"[merge \"x\"]\n\tdriver = {OWNED}\n",
    "credential.helper": f"[credential]\n\thelper = !{OWNED}\n[remote \"origin\"]\n\turl = https://127.0.0.1:9/x\n",
    "url.insteadOf": f"[url \"ext::{OWNED} \"]\n\tinsteadOf = https://\n[remote \"origin\"]\n\turl = https://127.0.0.1:9/x\n",
    "uploadpack.packObjectsHook": f"[uploadpack]\n\tpackObjectsHook = {OWNED}\n",
    "gpg.program": f"[gpg]\n\tprogram = {OWNED}\n[gpg \"ssh\"]\n\tprogram = {OWNED}\n\tdefaultKeyCommand = {OWNED}\n[commit]\n\tgpgSign = true\n[log]\n\tshowSignature = true\n[gpg]\n\tformat = ssh\n",
    "sendemail": f"[sendemail]\n\tsmtpServer = {OWNED}\n[web]\n\tbrowser = {OWNED}\n[man]\n\tviewer = {OWNED}\n",
    "trailers": f"[trailer \"x\"]\n\tcommand = {OWNED}\n\tcmd = {OWNED}\n",
    "a filter": f"[filter \"x\"]\n\tclean = {OWNED}\n\tsmudge = {OWNED}\n\tprocess = {OWNED}\n\trequired = true\n",
    "a remote that runs": f"[remote \"origin\"]\n\turl = ext::{OWNED}\n[protocol \"ext\"]\n\tallow = always\n",
    "a remote of a helper": "[remote \"origin\"]\n\turl = x\n\tvcs = evil\n[protocol]\n\tallow = always\n",
    "a pack program": f"[remote \"origin\"]\n\turl = file://{OUTSIDE}\n\tuploadpack = {OWNED}\n\treceivepack = {OWNED}\n[protocol \"file\"]\n\tallow = always\n",
    "maintenance": "[maintenance]\n\tauto = true\n[gc]\n\tauto = 1\n\tautoDetach = false\n\tautoPackLimit = 1\n",
    "tracing": f"[trace2]\n\teventTarget = {OUTSIDE}/trace\n\tnormalTarget = {OUTSIDE}/trace\n\tperfTarget = af_unix:{OUTSIDE}/trace\n",
}  # fmt: skip


@mechanism
def programs_in_the_configuration() -> Iterator[Case]:
    """Every key of `.git/config` that names a command."""
    attributes = "* filter=x diff=x merge=x\n"
    for name, text in PROGRAMS.items():

        def prepare(ground: Ground, text: str = text) -> None:
            ground.configure(text)
            _checked_out(ground, {"in": "changed\n", ".gitattributes": attributes})

        yield Case(name, {".gitattributes": attributes}, ends=ANY, prepare=prepare)


def _checked_out(ground: Ground, files: dict[str | bytes, str | bytes | Entry]) -> None:
    """A working tree with an index, in which something differs."""
    from tests.repositories import git

    git(ground.clone, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "read-tree", ground.base)
    ground.write({"runner.yaml": HARMLESS, **files})


def _included(name: str, condition: str, text: str) -> Callable[[Ground], None]:
    def prepare(ground: Ground) -> None:
        (ground.folder / "outside" / name).write_text(ground.filled(text))
        ground.configure(f"[{condition}]\n\tpath = {OUTSIDE}/{name}\n")
        _checked_out(ground, {"in": "changed\n", ".gitattributes": "* filter=x diff=x merge=x\n"})

    return prepare


def _in_the_worktree(text: str) -> Callable[[Ground], None]:
    def prepare(ground: Ground) -> None:
        ground.configure("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n")
        (ground.git_dir / "config.worktree").write_text(ground.filled(text))
        _checked_out(ground, {"in": "changed\n"})

    return prepare


def _in_common(text: str) -> Callable[[Ground], None]:
    """The clone's objects, refs and configuration lie elsewhere, as they do for a worktree of another clone."""

    def prepare(ground: Ground) -> None:
        _checked_out(ground, {"in": "changed\n"})
        common = ground.clone / "common.git"
        common.mkdir()
        ground.configure(text)
        for part in ("objects", "refs", "config", "hooks", "info"):
            (ground.git_dir / part).rename(common / part)
        for hook in HOOKS:
            os.symlink(ground.owned, common / "hooks" / hook)
        (ground.git_dir / "commondir").write_text(f"{common}\n")

    return prepare


def _borrowed(text: str) -> Callable[[Ground], None]:
    """The clone's objects lie in another repository, as `git clone --shared` leaves them."""

    def prepare(ground: Ground) -> None:
        other = Store.create(ground.folder / "outside" / "other" / ".git", ground.filled(text))
        (other.git_dir / "objects").rename(other.git_dir / "old")
        (ground.git_dir / "objects").rename(other.git_dir / "objects")
        (ground.git_dir / "objects" / "info").mkdir(parents=True)
        (ground.git_dir / "objects" / "info" / "alternates").write_text(f"{other.git_dir}/objects\n")

    return prepare


@mechanism
def programs_that_are_named_elsewhere() -> Iterator[Case]:
    """The same keys in files that the clone's own data leads git to: includes, worktrees, borrowed objects."""
    every = "".join(text for name, text in PROGRAMS.items() if not name.startswith(("a remote", "a pack")))
    yield Case("a common folder", ends=PLAN, prepare=_in_common(every))
    yield Case("borrowed objects", ends=PLAN, prepare=_borrowed(every), git_follows=True)
    yield Case("a configuration of the worktree", ends=ANY, prepare=_in_the_worktree(every), git_follows=True)
    for number, (name, text) in enumerate(PROGRAMS.items()):
        condition = ("include", 'includeIf "gitdir:/"', 'includeIf "onbranch:main"')[number % 3]
        yield Case(f"{name} by {condition}", ends=ANY, prepare=_included("more", condition, text), git_follows=True)


@mechanism
def objects_from_elsewhere() -> Iterator[Case]:
    """Partial clones whose missing objects would be fetched by a program of theirs."""
    for name, url in {
        "ext": f"ext::{OWNED}",
        "a file with a program": f"file://{OUTSIDE}",
        "ssh with an option": "ssh://-oProxyCommand=x/y",
        "git": "git://127.0.0.1:9/x",
        "http": "http://127.0.0.1:9/x",
        "a helper": "evil::x",
    }.items():

        def prepare(ground: Ground, url: str = url) -> str:
            ground.configure(
                f'[remote "origin"]\n\turl = {url}\n\tpromisor = true\n\tpartialclonefilter = blob:none\n'
                f"\tuploadpack = {OWNED}\n[extensions]\n\tpartialClone = origin\n[core]\n\trepositoryformatversion = 1\n\tsshCommand = {OWNED}\n"
                "[protocol]\n\tallow = always\n"
                + "".join(
                    f'[protocol "{kind}"]\n\tallow = always\n' for kind in ("ext", "file", "ssh", "git", "http", "evil")
                )
            )
            return ground.store.commit(ground.store.tree({"runner.yaml": Entry(FILE, oid="9" * 40)}))

        yield Case(name, ends=REFUSED, prepare=prepare)


PLACES = {
    "include.path": f"[include]\n\tpath = {OUTSIDE}/secret\n",
    "include of a device": "[include]\n\tpath = /dev/null\n",
    "includeIf": f"[includeIf \"gitdir:/\"]\n\tpath = {OUTSIDE}/secret\n",
    "an include of itself": "[include]\n\tpath = config\n",
    "core.worktree": f"[core]\n\tworktree = {OUTSIDE}\n",
    "core.worktree of all": "[core]\n\tworktree = /\n",
    "core.excludesFile": f"[core]\n\texcludesFile = {OUTSIDE}/secret\n",
    "core.attributesFile": f"[core]\n\tattributesFile = {OUTSIDE}/secret\n",
    "mailmap.file": f"[mailmap]\n\tfile = {OUTSIDE}/secret\n",
    "commit.template": f"[commit]\n\ttemplate = {OUTSIDE}/secret\n",
    "http.sslCert": f"[http]\n\tsslCert = {OUTSIDE}/secret\n\tcookieFile = {OUTSIDE}/secret\n",
    "gpg.ssh.allowedSignersFile": f"[gpg \"ssh\"]\n\tallowedSignersFile = {OUTSIDE}/secret\n",
    "core.bare": "[core]\n\tbare = true\n",
    "a later format": "[core]\n\trepositoryformatversion = 99\n",
    "an unknown extension": "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tevil = true\n",
    "another object format": "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n",
    "another ref storage": "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = reftable\n",
    "a config of the worktree": "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n",
    "no syntax": "[core\n\x1b[2J",
    "escapes": "[remote \"origin\"]\n\turl = \"\\t\x1b[2J\u202ex\"\n",
    "a large file": "[x]\n" + "\ty = z\n" * 200_000,
    "many remotes": "".join(f'[remote "r{n}"]\n\turl = x\n' for n in range(3_000)),
    "two URLs": "[remote \"origin\"]\n\turl = a\n\turl = -c\n",
    "an option as a URL": "[remote \"origin\"]\n\turl = --upload-pack=x\n",
    "a URL with a new line": "[remote \"origin\"]\n\turl = \"a\\nb::c\"\n",
    "a URL above": "[remote \"origin\"]\n\turl = ../../../../etc\n",
    "an empty URL": "[remote \"origin\"]\n\turl =\n",
    "a URL without a value": "[remote \"origin\"]\n\turl\n",
}  # fmt: skip


@mechanism
def places_in_the_configuration() -> Iterator[Case]:
    """Keys of `.git/config` that name files and folders, and formats that are none."""
    for name, text in PLACES.items():
        follows = "include" in name or name == "a config of the worktree"
        yield Case(name, ends=ANY, prepare=lambda ground, text=text: ground.configure(text), git_follows=follows)


HOOKS = ("post-index-change", "reference-transaction", "post-checkout", "pre-commit", "fsmonitor-watchman", "pre-auto-gc", "post-rewrite", "update", "pre-push", "p4-pre-submit", "sendemail-validate")  # fmt: skip


@mechanism
def hooks() -> Iterator[Case]:
    """Programs below `.git/hooks`."""
    for name in HOOKS:

        def prepare(ground: Ground, name: str = name) -> None:
            os.symlink(ground.owned, ground.git_dir / "hooks" / name)
            _checked_out(ground, {"in": "changed\n"})

        yield Case(name, ends=PLAN, prepare=prepare)


@mechanism
def attributes() -> Iterator[Case]:
    """Filters, drivers and encodings that `.gitattributes` asks for."""
    for text in (
        "* filter=x\n",
        "* diff=x\n",
        "* merge=x\n",
        "* working-tree-encoding=UTF-16\n",
        "* ident export-subst\n",
        "[attr]a filter=x\n* a\n",
        "* eol=crlf text\n",
        "a" * 100_000 + " x\n",
        "\xff\n",
        "* " + "a " * 50_000 + "\n",
        "* -text !diff filter=x/../y\n",
    ):

        def prepare(ground: Ground, text: str = text) -> None:
            ground.configure(PROGRAMS["a filter"] + PROGRAMS["diff.external"])
            (ground.git_dir / "info" / "attributes").write_text("* filter=x diff=x\n")
            _checked_out(ground, {"in": "changed\n", ".gitattributes": text})

        yield Case(ascii(text)[:40], {".gitattributes": text}, ends=PLAN, prepare=prepare)


def _graft(ground: Ground) -> None:
    (ground.git_dir / "info" / "grafts").write_text(f"{ground.base} {'9' * 40}\n")


def _replace(ground: Ground) -> None:
    evil = ground.store.commit(ground.store.tree({"runner.yaml": "evil"}))
    ground.store.ref(f"refs/replace/{ground.base}", evil)


def _alternates(text: str) -> Callable[[Ground], None]:
    def prepare(ground: Ground) -> None:
        (ground.git_dir / "objects" / "info" / "alternates").write_text(ground.filled(text))

    return prepare


def _file(name: str, text: str) -> Callable[[Ground], None]:
    def prepare(ground: Ground) -> None:
        file = ground.git_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(ground.filled(text))

    return prepare


def _linked(name: str, target: str) -> Callable[[Ground], None]:
    def prepare(ground: Ground) -> None:
        file = ground.git_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            file.unlink()
        os.symlink(ground.filled(target), file)

    return prepare


@mechanism
def grafts_and_replacements() -> Iterator[Case]:
    """Files of a clone that give its commits other parents and other bytes."""
    yield Case("grafts", ends=ANY, prepare=_graft)
    yield Case("grafts that are none", ends=ANY, prepare=_file("info/grafts", "x y z\n" * 1000))
    yield Case("replace refs", ends=PLAN, prepare=_replace)
    yield Case("shallow", ends=ANY, prepare=_file("shallow", "9" * 40 + "\n"))
    yield Case("shallow that is none", ends=ANY, prepare=_file("shallow", "\x1b[2J\n" * 500))
    yield Case("packed refs", ends=ANY, prepare=_file("packed-refs", "9" * 40 + " refs/heads/../../x\n"))
    yield Case("packed refs that are none", ends=ANY, prepare=_file("packed-refs", "x" * 100_000))
    yield Case(
        "a commit-graph that is none", ends=ANY, prepare=_file("objects/info/commit-graph", "CGPH" + "x" * 5_000)
    )
    yield Case(
        "an index of packs that is none", ends=ANY, prepare=_file("objects/pack/multi-pack-index", "MIDX" + "x" * 5_000)
    )
    yield Case("a pack that is none", ends=ANY, prepare=_file("objects/pack/pack-" + "a" * 40 + ".idx", "x" * 5_000))


@mechanism
def pointers_to_elsewhere() -> Iterator[Case]:
    """Alternates, links and `commondir` that lead out of the clone."""
    for text in (
        f"{OUTSIDE}\n",
        "/etc\n",
        "/dev/zero\n",
        "../../../..\n",
        "x\n" * 3_000,
        "\x1b[2J\n",
        '"' + "x" * 1000 + "\n",
        "/proc/self/fd\n",
    ):
        yield Case(f"alternates {ascii(text)[:30]}", ends=ANY, prepare=_alternates(text), git_follows=True)
    for name in (
        "commondir",
        "gitdir",
        "HEAD",
        "refs/remotes/origin/HEAD",
        "FETCH_HEAD",
        "MERGE_HEAD",
        "ORIG_HEAD",
        "shallow",
        "info/exclude",
        "info/sparse-checkout",
        "refs/heads/x",
        "index",
        "config.worktree",
        "logs/HEAD",
    ):
        yield Case(f"{name} is a link", ends=ANY, prepare=_linked(name, f"{OUTSIDE}/secret"), git_follows=True)
        yield Case(f"{name} is garbage", ends=ANY, prepare=_file(name, "\x1b[2J\xff" * 100))
        if name != "refs/heads/x":
            yield Case(f"{name} names another place", ends=ANY, prepare=_file(name, f"{OUTSIDE}\n"))


@mechanism
def working_trees() -> Iterator[Case]:
    """Files of a working tree that are no files, which `validate` without a revision reads."""
    for name, make in {
        "a pipe as a spec": lambda ground: _pipe(ground, "pipelines/p.yaml"),
        "a pipe as .gitignore": lambda ground: _pipe(ground, "sub/.dvcignore"),
        "a link to a device": lambda ground: ground.write({"x.yaml": _link("/dev/zero")}),
        "a link outside": lambda ground: ground.write({"pipelines": _link(f"{OUTSIDE}")}),
        "a link as a spec": lambda ground: ground.write({"pipelines/p.yaml": _link(f"{OUTSIDE}/secret")}),
        "a repository within": lambda ground: Ground.create(ground.clone / "nested"),
        "a .git file": lambda ground: ground.write({"nested/.git": f"gitdir: {OUTSIDE}\n", "nested/x": "1"}),
        "a name with a new line": lambda ground: ground.write({"pipelines/a\n::error::x.yaml": "x"}),
    }.items():

        def prepare(ground: Ground, make: Callable[[Ground], object] = make) -> str:
            make(ground)
            return ""

        yield Case(name, stages("a: {cmd: x, deps: [in]}"), ends=ANY, prepare=prepare)


def _link(target: str) -> Entry:
    from tests.hostile.store import link

    return link(target)


def _pipe(ground: Ground, name: str) -> None:
    file = ground.clone / name
    file.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(file)
