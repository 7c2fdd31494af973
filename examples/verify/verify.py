"""A second verifier of the runner's ledger, to be read before it is trusted: git, `cryptography`, and this file.

    python verify.py REPOSITORY REF KEY [KEY ...] [--pinned CHECKPOINT]     everything on a state branch
    python verify.py --proof PROOF KEY [KEY ...]                            what `runner audit prove` printed

KEY is a line `ssh-ed25519 AAAA...` or a file with such lines; `unsigned` in its place checks no signatures. Says what
is wrong, a line each, and ends with 1; ends with 0 where all is well. docs/state-branch.md describes the format.
"""

import base64
import hashlib
import json
import pathlib
import re
import subprocess
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECORDS, SEALED = ".runner/ledger/records/", ".runner/ledger/sealed/"
CHECKPOINT, FRONTIER, STATE = ".runner/ledger/checkpoint", ".runner/ledger/frontier", ".runner/state.json"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    """RFC 6962: split at the largest power of two below the number of leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", root(leaves[:split]), root(leaves[split:]))


def good(keys, signature, message):
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def canonical(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def statement_in(data, keys):
    """The statement in a record's bytes; raises ValueError unless they are canonical and signed."""
    envelope = json.loads(data)
    payload = base64.b64decode(envelope["payload"], validate=True)
    statement = json.loads(payload)
    if canonical(envelope) + b"\n" != data or canonical(statement) != payload:
        raise ValueError("not canonical")
    signatures = [base64.b64decode(row["sig"], validate=True) for row in envelope["signatures"]]
    same = [{"keyid": row["keyid"], "sig": base64.b64encode(sig).decode()}
            for row, sig in zip(envelope["signatures"], signatures, strict=True)]  # fmt: skip
    again = {"payload": base64.b64encode(payload).decode(), "payloadType": "application/vnd.in-toto+json"}
    if envelope != again | {"signatures": same} or statement["_type"] != "https://in-toto.io/Statement/v1":
        raise ValueError("not an in-toto statement in an envelope")
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    if keys and not any(good(keys, signature, message) for signature in signatures):
        raise ValueError("not signed by a key that was named")
    return statement


def check_records(records, keys):
    """What is wrong with the bytes of records, in order."""
    previous, dated, runs = None, "", set()
    for number, data in enumerate(records, 1):
        try:
            predicate = statement_in(data, keys)["predicate"]
            own = predicate.get("gitopsrunner_record", predicate)
            place = own["sequence"], own["previous"], own["recordedAt"]
            run = own["run"]["runId"] if "run" in own and "adoptedFrom" not in own else number
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            yield f"record {number}: {error}"
            return
        if place[:2] != (number, previous) or place[2] < dated or run in runs:
            yield f"record {number}: does not follow from the one before it"
            return
        previous, dated = hashlib.sha256(data).hexdigest(), place[2]
        runs.add(run)


def read_checkpoint(data, keys):
    """Origin, size and root of a checkpoint; raises ValueError unless it is signed."""
    text, _, below = data.decode().partition("\n\n")
    origin, size, root_text = text.split("\n")
    lines = re.findall("^\u2014 gitops-runner (\\S+)\n", below, re.MULTILINE)
    rows = [base64.b64decode(line, validate=True) for line in lines]
    again = "".join(f"\u2014 gitops-runner {base64.b64encode(row).decode()}\n" for row in rows)
    found = base64.b64decode(root_text, validate=True)
    if f"{origin}\n{int(size)}\n{base64.b64encode(found).decode()}\n\n{again}".encode() != data:
        raise ValueError("not a checkpoint in its one form")
    message = text.encode() + b"\n"
    signed = any(row[:4] == sha256(b"gitops-runner\n\1", key)[:4] and good([key], row[4:], message)
                 for row in rows for key in keys)  # fmt: skip
    if keys and not signed:
        raise ValueError("not signed by a key that was named")
    return origin, int(size), found


def check_checkpoint(data, records, keys, exactly=True):
    """What is wrong with a checkpoint of these records, or (not `exactly`) of the first of them."""
    try:
        origin, size, found = read_checkpoint(data, keys)
    except ValueError as error:
        yield f"checkpoint: {error}"
        return
    name = "gitops-runner.dev/ledger/" + hashlib.sha256(records[0]).hexdigest()[:32] if records else ""
    whole = size == len(records) if exactly else size <= len(records)
    if origin != name or not whole or found != root([sha256(b"\0", data) for data in records[:size]]):
        yield f"checkpoint: is not of these {len(records)} records"


def check_files(files, keys):
    """What is wrong with the ledger in a mapping of paths to bytes; its records."""
    wrong, records = [], []
    for path in sorted(path for path in files if path.startswith(SEALED)):
        lines = files[path].splitlines(keepends=True)
        if path != f"{SEALED}{len(records) + 1:09d}-{len(records) + len(lines):09d}.jsonl":
            wrong.append(f"{path}: is out of place")
        records += lines
    for path in sorted(path for path in files if path.startswith(RECORDS)):
        if path != f"{RECORDS}{len(records) + 1:09d}.json":
            wrong.append(f"{path}: is out of place")
        records.append(files[path])
    wrong += check_records(records, keys)
    wrong += check_checkpoint(files.get(CHECKPOINT, b""), records, keys)
    try:
        state = json.loads(files.get(STATE, b""))
        end = state["sequence"], state["digest"]
    except (ValueError, KeyError, TypeError):
        end = None
    if not records or end != (len(records), hashlib.sha256(records[-1]).hexdigest()):
        wrong.append(f"{STATE}: names another end")
    return wrong, records


def check_history(commits, records, keys):
    """What is wrong along state commits, the oldest first: (name, paths to blob ids, bytes of the checkpoint)."""
    before = 0
    for name, files, checkpoint in commits:
        bits = "sha256" if any(len(blob) == 64 for blob in files.values()) else "sha1"
        kept = {path: blob for path, blob in files.items() if path not in (CHECKPOINT, FRONTIER)}
        count = 0
        for path in sorted(kept, key=lambda path: path.rpartition("/")[2]):
            numbers = [int(number) for number in re.findall(r"[0-9]{9}", path)] or [0]
            first, last = numbers[0], numbers[-1]
            data = b"".join(records[first - 1 : last])
            if first != count + 1 or kept[path] != hashlib.new(bits, b"blob %d\0" % len(data) + data).hexdigest():
                yield f"commit {name[:12]}: {path} is not what it is now"
            count = last
        if count <= before or count > len(records):
            yield f"commit {name[:12]}: has {count} records after {before}"
        yield from (f"commit {name[:12]}: {text}" for text in check_checkpoint(checkpoint, records[:count], keys))
        before = count


def check_proof(proof, keys):
    """What is wrong with a proof of `runner audit prove`."""
    data = base64.b64decode(proof["record"])
    statement_in(data, keys)
    _, size, wanted = read_checkpoint(proof["checkpoint"].encode(), keys)
    node, last, found = proof["index"], size - 1, sha256(b"\0", data)
    for part in map(bytes.fromhex, proof["hashes"]):  # RFC 9162, 2.1.3.2
        if node % 2 or node == last:
            found = sha256(b"\1", part, found)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\1", found, part)
        node, last = node >> 1, last >> 1
    if (size, last, found) != (proof["size"], 0, wanted):
        yield "the record is not in the tree of the checkpoint"
    if "consistency" in proof and not extends(proof["consistency"], wanted, keys):
        yield "the ledger does not extend the older checkpoint"


def extends(proof, wanted, keys):
    """Whether the tree with this root begins with that of an older checkpoint (RFC 9162, 2.1.4.2)."""
    _, size, older = read_checkpoint(proof["from"].encode(), keys)
    parts = [bytes.fromhex(text) for text in proof["hashes"]]
    if size == proof["size"]:
        return not parts and older == wanted
    parts = parts if size & (size - 1) else [older, *parts]
    node, last = size - 1, proof["size"] - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    old = new = parts[0]
    for part in parts[1:]:
        if node % 2 or node == last:
            old, new = sha256(b"\1", part, old), sha256(b"\1", part, new)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            new = sha256(b"\1", new, part)
        node, last = node >> 1, last >> 1
    return (last, old, new) == (0, older, wanted)


def git(repository, *words, stdin=None):
    return subprocess.run(["git", "-C", repository, *words], input=stdin, capture_output=True, check=True).stdout


def blobs(repository, names):
    out, start = git(repository, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()), 0
    for _ in names:
        end = out.index(b"\n", start)
        size = int(out[start:end].split()[2])
        yield out[end + 1 : end + 1 + size]
        start = end + size + 2


def listed(repository, commit, *paths):
    lines = git(repository, "ls-tree", "-r", "-z", commit, *paths).decode().split("\0")
    return {line.partition("\t")[2]: line.split()[2] for line in lines if line.startswith("100644")}


def check_repository(repository, ref, keys, pinned=None):
    """What is wrong with a state branch; the number of its records."""
    line = git(repository, "log", "--first-parent", "-z", "--format=%H %B", ref).decode(errors="replace").split("\0")
    found = [
        (text.split()[0], listed(repository, text.split()[0], ".runner/ledger"), text) for text in line[::-1] if text
    ]
    own = any(files and "\nDesired: " in text for _, files, text in found)  # else people's commits are among them
    commits = [row[:2] for row in found if row[1] and (own or "\nReconciled: " in row[2])]
    if not commits:
        return [f"{ref}: there is no ledger"], 0
    newest, files = commits[-1]
    ids = files | listed(repository, newest, STATE)
    wrong, records = check_files(dict(zip(ids, blobs(repository, list(ids.values())), strict=True)), keys)
    checkpoints = blobs(repository, [files.get(CHECKPOINT, "missing") for _, files in commits])
    wrong += check_history([(*row, data) for row, data in zip(commits, checkpoints, strict=True)], records, keys)
    if pinned is not None:
        wrong += check_checkpoint(pinned, records, keys, exactly=False)
    return wrong, len(records)


def read_keys(words):
    lines = []
    for word in words:
        lines += [word] if word.startswith("ssh-ed25519 ") else pathlib.Path(word).read_text().splitlines()
    return [base64.b64decode(line.split()[1])[-32:] for line in lines if line.startswith("ssh-ed25519 ")]


def main(words):
    pinned = None
    if "--pinned" in words:
        place = words.index("--pinned")
        pinned = pathlib.Path(words[place + 1]).read_bytes()
        words = words[:place] + words[place + 2 :]
    keys = [] if "unsigned" in words else read_keys(words[2:])
    if words[0] == "--proof":
        wrong, told = list(check_proof(json.loads(pathlib.Path(words[1]).read_text()), keys)), "the proof holds"
    else:
        wrong, count = check_repository(words[0], words[1], keys, pinned)
        told = f"{count} records, {'signed, ' if keys else ''}whole"
    print("\n".join(wrong) or told)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) > 3 else __doc__)
