"""Reads the state commits of a ledger out of git, for verify.py. Whatever it reads is checked there."""

import functools
import hashlib
import os
import re
import subprocess
import sys

LEDGER, LIVE, STATE = ".runner/ledger/", ".runner/ledger/records/", ".runner/state.json"


def git_id(data, digits):
    """The name that git gives to a file."""
    return hashlib.new("sha1" if digits == 40 else "sha256", b"blob %d\0%b" % (len(data), data)).hexdigest()


def git(repository, *words, stdin=b""):
    """What git says; nothing of the clone stands in for what was pushed, nothing is fetched, and nothing run."""
    environ = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull, "GIT_ALLOW_PROTOCOL": "none"}
    command = ["git", "-C", repository, *words]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, env=os.environ | environ)
    return done.stdout if not done.returncode else sys.exit(f"cannot verify: {done.stderr.decode(errors='replace')}")


def objects(repository, names):
    """The objects of these names, one by one; None where there is none."""
    out, start = git(repository, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()), 0
    for _ in names:
        end = out.index(b"\n", start)
        size = -1 if out[start:end].endswith(b" missing") else int(out[start:end].split()[-1])
        yield out[end + 1 : end + 1 + size] if size >= 0 else None
        start = end + 2 + size


def listed(repository, commit, *places):
    """Paths of files at these places of a commit, and the ids of their blobs."""
    lines = os.fsdecode(git(repository, "ls-tree", "-r", "-z", "--full-tree", commit, *places)).split("\0")
    return {line.partition("\t")[2]: line.split()[2] for line in lines if line.startswith("100644 ")}


def everything(repository, commit):
    """Paths of a commit outside `.runner/`, each with mode and id; None where the commit is not here."""
    if next(objects(repository, [commit])) is None:
        return None
    lines = os.fsdecode(git(repository, "ls-tree", "-r", "-z", "--full-tree", commit)).split("\0")
    rows = {line.partition("\t")[2]: (line[:6], line.split()[2]) for line in lines if line}
    return {path: row for path, row in rows.items() if not path.startswith(".runner/")}


@functools.cache
def end(repository, commit):
    """Path and id of the last record at a commit."""
    return max(listed(repository, commit, LIVE).items(), default=("", ""))


def goes_on(repository, newer, older):
    """Whether a commit has the last record of another one in its place; where it is sealed, that is believed."""
    path, name = end(repository, older)
    return listed(repository, newer, path).get(path, name if path < end(repository, newer)[0] else "") == name


def state_commits(repository, ref):
    """The state commits, the oldest first, whether an older ledger lies below them, and whether people commit there.

    They are all commits along first parents that have a ledger. Where people commit to the branch, too, they are those
    with one parent that say so and end with a record that is not the parent's. Of what a merge brought, they are those
    that the newest one goes on from.
    """

    def revs(*words):
        out = git(repository, "rev-list", *words, "--end-of-options", ref)
        return [line.split() for line in out.decode().splitlines()]

    line = [name for name, *_ in revs("--first-parent")]
    held = [tree is not None for tree in objects(repository, [f"{name}:{LEDGER}" for name in line])]
    named = {name for name, *_ in revs("--first-parent", "--grep=^Desired: ")}
    if not any(has and name in named for name, has in zip(line, held, strict=True)):  # else no person commits here
        own = []
        for name, *parents in revs("--parents", "-E", "--grep=^Reconciled: [0-9a-f]{40,64}$"):
            path, last = end(repository, name)
            if path and len(parents) == 1 and listed(repository, parents[0], path).get(path) != last:
                own.append((path, name))
        own = [name for _, name in sorted(own, reverse=True)]
        anchor = next((name for name in own if name in line), own[0] if own else None)
        newest = next((name for name in own if goes_on(repository, name, anchor)), None)
        if own:
            return [name for name in reversed(own) if name in line or goes_on(repository, newest, name)], False, True
    count = held.index(False) if False in held else len(held)
    return line[:count][::-1], any(held[count:]), False


def read(repository, ref):
    """Files of the newest state commit; name, ids of files, checkpoint and parents of each; whether an older ledger is
    below; and the newest one's name, unless people commit to the branch, too: other files and parents are theirs there.
    """
    names, below, in_place = state_commits(repository, ref)
    if not names:
        sys.exit(f"cannot verify: {ref} holds no ledger of the runner")
    ids = listed(repository, names[-1], ".runner/")
    notes = objects(repository, [f"{name}:{LEDGER}checkpoint" for name in names])
    heads = [None if in_place else data.partition(b"\n\n")[0].decode() for data in objects(repository, names)]
    above = [head and re.findall("^parent (.*)$", head, re.M) for head in heads]
    rows = zip(names, notes, above, strict=True)
    steps = ((name, listed(repository, name, LEDGER, STATE), note, parents) for name, note, parents in rows)
    return (
        dict(zip(ids, objects(repository, list(ids.values())), strict=True)),
        steps,
        below,
        None if in_place else names[-1],
    )
