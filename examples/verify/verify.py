"""A second verifier of the runner's ledger, short enough to be read before it is trusted; docs/audit.md explains it.

    python verify.py REPOSITORY REF [--trust FILE] [--pinned CHECKPOINT]

Checked: every record is in its one form, has the fields of its kind, is numbered, chained to the one before it, and
signed by who may sign it; every state commit goes on from the one before it, its ledger is to the byte what its records
come to, and its signed checkpoint names their Merkle root; the pinned checkpoint is of the first of these records; what
lies beside the ledger says what they say; outside `.runner/` there are the desired commit's files, the uncached outputs
that stand, and DVC's files. Not checked: what DVC's files say (dvc.lock, dvc.yaml, .gitignore, .dvcignore), values of
fields that nothing rests on, git's own objects, what `--deep` adds, and what follows the first record that is none.

records.py has what a record is, trust.py who may sign, approvals.py what people signed, standing.py what lies beside
the ledger, outside.py what lies outside, and commits.py reads git. Ends with 0 whole, 10 chain, 11 signature,
12 rollback, 13 bytes, 14 policy, or 1: it could not verify.
"""

import argparse
import functools
import pathlib
import re
import sys

from cryptography.exceptions import InvalidSignature

import approvals
import commits
import outside
import standing
from records import NONE, NONSENSE, decode, follow, read_record, sha256
from trust import read_trust

CHAIN, SIGNATURE, ROLLBACK, BYTES, POLICY = range(10, 15)
LEDGER, STATE = ".runner/ledger/", ".runner/state.json"
RECORDS = re.compile(LEDGER + r"(?:records/[0-9]{9}\.json|sealed/([0-9]{9})-([0-9]{9})\.jsonl)")
NOTE = r"([^\n]+)\n([1-9][0-9]*)\n(.+)\n\n((?:\u2014 \S+ \S+\n)*)"  # origin, size, root, and signatures below


def check_signed(place, made, message, number, roles, trust):
    """Whether record `number`, or the checkpoint at it, is signed by who may; `made`: names of keys and signatures."""
    if trust is None or (not made and number <= trust[1]):
        return
    tried = [(key, signature) for name, signature in made for key in trust[0] if name in key.names]
    try:
        for key, signature in tried:
            key.public.verify(signature, message)
    except InvalidSignature:
        tried = []  # one that is wrong spoils the others
    if not tried:
        yield SIGNATURE, place, "has a wrong signature, or none of a key that is trusted"
    elif not any(key.roles & roles and key.first <= number <= key.last for key, _ in tried):
        yield POLICY, place, "is signed by a key that may not sign it"


def read_note(data):
    """Origin, size, root, signatures and signed text of a checkpoint; one of NONSENSE unless it is in its one form."""
    origin, size, root, below = re.fullmatch(NOTE, data.decode()).groups()
    made = [(name, decode(row)) for name, row in re.findall(r"\u2014 (\S+) (\S+)\n", below)]
    made = [(row[:4] if name == "gitops-runner" else name, row[4:]) for name, row in made]
    return origin, int(size), decode(root), made, data.partition(b"\n\n")[0] + b"\n"


def check_note(place, data, records, ends, trust):
    """Whether a checkpoint is of the first of these records, and signed by who may say so."""
    try:
        origin, size, root, made, text = read_note(data)
    except NONSENSE:
        yield ROLLBACK, place, "has no checkpoint in its one form"
        return
    end, name = ends[size] if size < len(ends) else NONE, "gitops-runner.dev/ledger/" + sha256(*records[:1]).hex()[:32]
    tops = [top for _, top in end.peaks] or [b""]
    if (origin, root) != (name, functools.reduce(lambda right, left: sha256(b"\1", left, right), reversed(tops))):
        yield ROLLBACK, place, f"names {size} records that are not the first of those that are here"
    yield from check_signed(place, made, text, size, end.roles, trust)


def check_commits(steps, records, ends, trust):
    """Every state commit has more records than the one before it, and its ledger is what they come to, to the byte."""
    before, sealed, git_id = 0, set(), functools.cache(commits.git_id)
    for name, ids, note, parents in steps:
        place, found = f"commit {name[:12]}", re.match(rb"[^\n]+\n([0-9]{1,9})\n", note or b"")
        yield from check_note(place, note, records, ends, trust)
        size = int(found[1]) if found else 0
        if not before < size < len(ends):
            yield ROLLBACK, place, f"has {size} records, after {before}, and {len(records)} are here"
            continue
        frontier = "".join(f"{line}\n" for line in (size, *(top.hex() for _, top in ends[size].peaks))).encode()
        wanted = {STATE: ends[size].state, LEDGER + "frontier": frontier, LEDGER + "checkpoint": note}
        segments = sorted((int(row[1]), int(row[2])) for row in map(RECORDS.fullmatch, ids) if row and row[1])
        end, fits = 0, ends[size].state and sealed <= set(segments)
        for first, last in segments:
            fits, end = fits and end + 1 == first <= last <= before, last
            wanted[f"{LEDGER}sealed/{first:09}-{last:09}.jsonl"] = b"".join(records[first - 1 : last])
        wanted |= {f"{LEDGER}records/{number:09}.json": records[number - 1] for number in range(end + 1, size + 1)}
        if not fits or ids != {path: git_id(data, len(name)) for path, data in wanted.items()}:
            yield ROLLBACK, place, f"has a ledger that is not what its {size} records come to"
        if None not in (parents, ends[size].parents) and parents != ends[size].parents:
            yield ROLLBACK, place, "has other parents than its last record names: earlier commits are gone"
        before, sealed = size, set(segments)


def check(files, steps, trust=None, pinned=None, proposal=False):
    """Code, place and text of what is wrong with the files of the newest state commit, or along state commits."""
    records, ends, stated, runs, seen = [], [NONE], [], {}, set()
    paths = sorted(filter(RECORDS.fullmatch, files), key=lambda path: path.rpartition("/")[2])
    for number, data in enumerate(b"".join(files[path] for path in paths).splitlines(keepends=True), 1):
        place = f"record {number}"
        try:
            kind, own, made, message = read_record(data)
            ends.append(follow(ends[-1], number, data, kind, own, runs, seen))
        except NONSENSE:
            yield CHAIN, place, "is not a record in its one form that follows from those before it"
            return
        yield from check_signed(place, made, message, number, ends[number].roles, trust)
        yield from approvals.check(place, number, kind, own[kind], stated, trust)
        if trust and not proposal and kind == "reconcile" and own[kind]["trust"] == "proposed":
            yield POLICY, place, "is of a proposal, and this ledger of none"
        records.append(data)
        stated.append((kind, own[kind]))
    yield from check_commits(steps, records, ends, trust)
    yield from check_note("the pinned checkpoint", pinned, records, ends, trust) if pinned else ()
    try:
        yield from [(BYTES, path, "is not what the records say") for path in standing.differing(files, runs, stated)]
    except NONSENSE:
        yield CHAIN, "a record", "states what makes no sense"


def kept(name, kind, read):
    """What a file says that somebody kept, if it is named; ends with 1 where it is none."""
    try:
        return None if name is None else read(pathlib.Path(name).read_bytes())
    except OSError as error:
        sys.exit(f"cannot verify: {name}: {error.strerror}")
    except NONSENSE:
        sys.exit(f"cannot verify: {name} is no {kind}: it is not in its one form, which docs/audit.md shows")


def main():
    usage = __doc__.splitlines()[2].strip()
    parser = argparse.ArgumentParser(usage=usage, description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("repository", "ref", "--trust", "--pinned"):
        parser.add_argument(name)
    parser.error = lambda text: sys.exit(f"usage: {usage}\n{text}")
    asked = parser.parse_args()
    trust = kept(asked.trust, "trust file", read_trust)
    pinned = kept(asked.pinned, "checkpoint", lambda data: read_note(data) and data)
    try:
        files, steps, below, newest = commits.read(asked.repository, asked.ref)
        wrong = set(check(files, steps, trust, pinned, "runner/proposed/" in asked.ref))
        wrong |= {(BYTES, *row) for row in outside.wrong(files, asked.repository, newest if not wrong else None)}
    except OSError as error:
        sys.exit(f"cannot verify: {error.filename}: {error.strerror}")
    except NONSENSE:
        sys.exit("cannot verify: an object of the clone is damaged")
    wrong |= {(ROLLBACK, asked.ref, "begins a new ledger on top of an older one")} if below else set()
    for _, place, text in sorted(wrong):
        print(f"{place}: {text}".encode("unicode_escape").decode())
    if not wrong:
        print(f"{read_note(files[LEDGER + 'checkpoint'])[1]} records, whole")
    sys.exit(min((code for code, _, _ in wrong), default=0))


if __name__ == "__main__":
    main()
