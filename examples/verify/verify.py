"""A second verifier of the runner's ledger, to be read before it is trusted: git, `cryptography`, and two files.

    python verify.py REPOSITORY REF [--trust FILE] [--pinned CHECKPOINT]

Says what is wrong and ends as `runner audit verify` does: 0 whole, 10 chain, 11 signature, 12 rollback, 13 bytes,
14 policy; 1 where it cannot verify. It leaves to the first: fields of a statement that it does not need (whether they
are there is all it asks), subject and provenance of a run, damaged objects of git, and `--deep`. It ends at the first
record that is none.
"""

import argparse
import collections
import functools
import hashlib
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys

from chain import (
    BYTES,
    CHAIN,
    NONSENSE,
    POLICY,
    ROLLBACK,
    Chain,
    Parser,
    as_json,
    canonical,
    check_note,
    check_signed,
    check_verified,
    need,
    read_note,
    read_record,
    read_trust,
)

LEDGER, STATE, RECORDED, OBJECTS = ".runner/ledger/", ".runner/state.json", ".runner/recorded/", ".runner/objects/"
CHECKPOINT, FRONTIER = LEDGER + "checkpoint", LEDGER + "frontier"
KEYS, SEALED_KEYS = ".runner/keys/", ".runner/keys-sealed/"
RECORD_FILE = re.compile(LEDGER + r"(?:records/([0-9]{9})\.json|sealed/([0-9]{9})-([0-9]{9})\.jsonl)")
ENTRY = {"pipeline", "stage", "key", "provenance", "record", "material", "outs", "inputs", "adoptedFrom"}


def blob_id(data, digits):
    """The name that git gives to a file."""
    return hashlib.new("sha1" if digits == 40 else "sha256", b"blob %d\0%b" % (len(data), data)).hexdigest()


def spans(paths):
    """The files of records in order, the first and the last that each holds, and whether it follows the one before."""
    end = 0
    for path in sorted((path for path in paths if path.startswith(LEDGER)), key=os.path.basename):
        if path not in (CHECKPOINT, FRONTIER):
            found = RECORD_FILE.fullmatch(path) or ("", 0, 0, 0)
            first, last = int(found[1] or found[2]), int(found[1] or found[3])
            yield path, first, last, first == end + 1 and first <= last
            end = max(end, last)


def check_records(files, chain, trust):
    """The records at the newest state commit; what they come to is added to an empty chain."""
    records = []
    for path, first, last, fits in spans(files):
        *lines, tail = files[path].split(b"\n") if path.endswith(".jsonl") else (files[path], b"")
        if not fits or tail or len(lines) != last - first + 1:
            yield ROLLBACK, path, "does not hold the records that belong there"
        if last:
            records += [line + b"\n" for line in lines] if path.endswith(".jsonl") else lines
    for number, data in enumerate(records, 1):
        try:
            kind, own, made, message = read_record(data)
            chain.add(data, kind, own)
        except NONSENSE as error:
            yield CHAIN, f"record {number}", str(error)
            return
        yield from check_signed(f"record {number}", made, message, number, chain.roles[number], trust)


def check_index(files, chain):
    """Both indexes name, for each key, the record that counts; what is live counts before what is sealed."""
    sealed, counted = max([last for path, _, last, _ in spans(files) if path.endswith(".jsonl")], default=0), {}
    for path in sorted(path for path in files if path.startswith((SEALED_KEYS, KEYS))):
        rows = re.findall(rb"(([0-9a-f]{64}) ([1-9][0-9]*) (ok|failed)\n)", files[path])
        is_one = rows and b"".join(sorted({row[1]: row[0] for row in rows}.values())) == files[path]
        for _, key, number, word in rows:
            key, number, good = key.decode(), int(number), word == b"ok"
            run = chain.runs.get(number, {"key": ""})
            is_one &= path == (KEYS if number > sealed else SEALED_KEYS) + key[:2]
            is_one &= run["key"] == key and run["outcome"]["succeeded"] == good
            counted[key] = number, good
        if not is_one:
            yield BYTES, path, "names what is not so, or is not in its one form"
    if counted != chain.keys:
        yield BYTES, KEYS, "the index does not name the record that counts for each key"


def encoded(name):
    """A name of a pipeline or stage as a part of a path."""
    data = name.encode("utf-8", "surrogateescape")
    text = re.sub(rb"[^A-Za-z0-9_@=,+.-]|^\.", lambda found: b"%%%02X" % found[0][0], data).decode()
    return text if len(text) <= 180 else f"{text[:147]}%{hashlib.sha256(data).hexdigest()[:32]}"


def check_standing(files, chain):
    """What stands for each stage is what the reconciles say, and says what its record says."""
    wanted = dict(chain.standing)
    for path in sorted(path for path in files if path.startswith(RECORDED)):
        try:
            entry = json.loads(files[path])
            names, says = (entry["pipeline"], entry["stage"]), (entry["key"], entry["record"], entry["provenance"])
            need(path == RECORDED + "/".join(map(encoded, names)) + ".json", "is not of the stage that its name says")
            need(files[path] == as_json(entry, indent=1) + b"\n" and entry.keys() <= ENTRY, "is not in its one form")
            need(wanted.pop(":".join(names), None) == says, "is not what the reconciles say")
            if entry["record"] is not None:
                run = chain.runs[entry["record"]]
                # Where in git an uncached output lies may become known after its run was recorded.
                outs = [[{**out, "git": ""} for out in row["outs"]] for row in (entry, run)]
                said = [
                    canonical([row["key"], row["material"], out]) for row, out in zip((entry, run), outs, strict=True)
                ]
                need(run["outcome"]["succeeded"] and said[0] == said[1], "is not what its record says")
        except NONSENSE as error:
            yield BYTES, path, str(error)
    for stage in wanted:
        yield BYTES, RECORDED, f"has no entry for {stage}, which stands"


def check_history(commits, chain, trust):
    """Every state commit, the oldest first, has more records than the one before it, and those that there are now."""
    before, sealed = 0, set()
    expected = functools.cache(lambda first, last, digits: blob_id(b"".join(chain.records[first - 1 : last]), digits))
    for name, ids, checkpoint, state in commits:
        place, count, digits, segments = f"commit {name[:12]}", 0, len(name), set()
        for path, first, last, fits in spans(ids):
            segments |= {path} if path.endswith(".jsonl") else set()
            is_early = path in segments - sealed and last > before
            if not fits or is_early or ids[path] != expected(first, last, digits):
                yield ROLLBACK, place, f"{path} is not what it is now"
            count = max(count, last)
        if not before < count <= len(chain.records) or not sealed <= segments:
            yield ROLLBACK, place, f"goes back to {count} records, after {before}"
        before, count, sealed = count, min(count, len(chain.records)), segments
        lines = [f"{line}\n" for line in (count, *(top.hex() for _, top in chain.peaks[count]))]
        ends = state or b"", ids.get(FRONTIER)
        if ends != (chain.states[count], blob_id("".join(lines).encode(), digits)):
            yield ROLLBACK, place, f"state.json or frontier are not those of {count} records"
        yield from check_note(place, checkpoint or b"", chain, trust, count)


def check(files, commits, trust=None, pinned=None, proposal=False):
    """What is wrong with the files of the newest state commit, and along all of them; how many records there are."""
    chain = Chain()
    wrong = list(check_records(files, chain, trust))
    if any(code == CHAIN for code, _, _ in wrong):
        return wrong, len(chain.records)
    wrong += [*check_index(files, chain), *check_verified(files, chain), *check_standing(files, chain)]
    wrong += check_history(commits, chain, trust)
    for path in sorted(path for path in files if path.startswith(OBJECTS)):
        if hashlib.md5(files[path]).hexdigest() != path.removeprefix(OBJECTS).removesuffix(".dir"):
            wrong.append((BYTES, path, "has other bytes than its name says"))
    if pinned is not None:
        wrong += check_note("the pinned checkpoint", pinned, chain, trust)
    if trust is not None and not proposal:
        wrong += [
            (POLICY, f"record {number}", "is of a proposal, and this ledger of none") for number in chain.proposed
        ]
    return wrong, len(chain.records)


def git(repository, *words, stdin=b""):
    """What git says; nothing of the clone stands in for what was pushed, nothing is fetched, and nothing run."""
    env = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull, "GIT_ALLOW_PROTOCOL": "none"}
    command = ["git", "-C", repository, *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=True, env=os.environ | env).stdout


def objects(repository, names):
    """The objects of these names, one by one; None where there is none."""
    out, start = git(repository, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()), 0
    for _ in names:
        end = out.index(b"\n", start)
        size = None if out[start:end].endswith(b" missing") else int(out[start:end].split()[-1])
        yield None if size is None else out[end + 1 : end + 1 + size]
        start = end + 1 if size is None else end + size + 2


def listed(repository, commit, folder):
    """Paths below a folder and the ids of their blobs."""
    lines = os.fsdecode(git(repository, "ls-tree", "-r", "-z", "--full-tree", commit, folder)).split("\0")
    return {line.partition("\t")[2]: line.split()[2] for line in lines if line.startswith("100644 ")}


def state_commits(repository, ref):
    """State commits, the oldest first, and whether an older ledger lies below them.

    They are all commits along first parents that have a ledger or, where the runner records among people's commits,
    those that say so and have a last record that their one parent has not. What a merge brought from elsewhere is left
    out: it does not have the records of the newest along first parents.
    """

    def revs(*words):
        return [line.split() for line in git(repository, "rev-list", *words, "--end-of-options", ref).splitlines()]

    line = [name.decode() for name, *_ in revs("--first-parent")]
    held = [tree is not None for tree in objects(repository, [f"{name}:{LEDGER}" for name in line])]
    alone = {name.decode() for name, *_ in revs("--first-parent", "--grep=^Desired: ")} & {
        *itertools.compress(line, held)
    }

    def has_end(name, older):
        """Whether a commit has the last record of another one in its place; of sealed ones it is believed."""
        path = f"{LEDGER}records/{sizes[older]:09}.json"
        here, there = objects(repository, [f"{name}:{path}", f"{older}:{path}"])
        return sizes[name] >= sizes[older] and (None in (here, there) or here == there)

    sizes, own = collections.defaultdict(int), []
    for raw, *parents in [] if alone else revs("--parents", "-E", "--grep=^Reconciled: [0-9a-f]{40,64}$"):
        name, *parents = (part.decode() for part in (raw, *parents))
        for one in (name, *parents):
            (end,) = objects(repository, [f"{one}:{STATE}"])
            sizes[one] = int(re.search(rb'"sequence": ([0-9]+)', end or b'"sequence": 0')[1])
        if len(parents) == 1 and (sizes[name] > sizes[parents[0]] or not has_end(parents[0], name)):
            own.append(name)
    if own:
        own.sort(key=lambda name: (sizes[name], name))
        anchor = next((name for name in reversed(own) if name in line), None)
        newest = next(name for name in reversed(own) if anchor is None or has_end(name, anchor))
        return [name for name in own if name in line or has_end(newest, name)], False
    newest = [name for name, _ in itertools.takewhile(lambda row: row[1], zip(line, held, strict=True))]
    return newest[::-1], any(held[len(newest) :])


def need_note(name, data):
    """A file that was kept has to be a checkpoint."""
    try:
        read_note(data)
    except ValueError as error:
        raise ValueError(f"{name} is no checkpoint: {error}") from error


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("repository", "ref", "--trust", "--pinned"):
        parser.add_argument(name)
    asked = parser.parse_args()
    try:
        trust = asked.trust and read_trust(pathlib.Path(asked.trust).read_text())
        pinned = asked.pinned and pathlib.Path(asked.pinned).read_bytes()
        if pinned is not None:
            need_note(asked.pinned, pinned)
        commits, below = state_commits(asked.repository, asked.ref)
        need(commits, f"{asked.ref} holds no ledger of the runner")
        ids = listed(asked.repository, commits[-1], ".runner/")
        files = dict(zip(ids, objects(asked.repository, list(ids.values())), strict=True))
        ends = list(objects(asked.repository, [f"{name}:{path}" for name in commits for path in (CHECKPOINT, STATE)]))
        steps = zip(
            commits, (listed(asked.repository, name, LEDGER) for name in commits), ends[::2], ends[1::2], strict=True
        )
        wrong, count = check(files, steps, trust, pinned, "runner/proposed/" in asked.ref)
    except (*NONSENSE, OSError) as error:
        sys.exit(f"cannot verify: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"cannot verify: {error.stderr.decode(errors='replace')}")
    wrong += [(ROLLBACK, asked.ref, "begins a new ledger on top of an older one")] * below
    print("\n".join(f"{place}: {text}" for _, place, text in sorted(set(wrong))) or f"{count} records, whole")
    sys.exit(min((code for code, _, _ in wrong), default=0))


if __name__ == "__main__":
    main()
