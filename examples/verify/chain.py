"""What the records of a ledger say, one after the other, and who signed them; the first half of verify.py.

Each record is a line of canonical JSON: an envelope (DSSE) around a statement (in-toto), numbered, and with the digest
of the record before it. docs/state-branch.md describes the format, docs/audit.md the trust file.
"""

import argparse
import base64
import functools
import hashlib
import json
import re
import sys
from collections import namedtuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHAIN, SIGNATURE, ROLLBACK, BYTES, POLICY = range(10, 15)
NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
PLACE = {"schema", "sequence", "previous", "recordedAt", "runnerVersion"}
FIELDS = {  # what a statement of each kind has to hold; its predicate type ends in the kind, but for a run's
    "run": "actor desired host inputs isolation key location log material metrics outcome outs pipeline provenance"
    " runId seconds stage startedAt startedFrom trust usage",
    "reconcile": "actor branch desired dropped host id late location open removed runs signing standing state trigger"
    " trust watched",
    "verification": "actor branch desired host id runs signing state trigger trust watched",
    "plan": "actor desired recordedDigest steps",
    "gate": "conditions deployment model verdict",
    "approval": "actor approved deployment model",
    "release": "deployment files model version",
    "monitor": "event monitor window",
}
KINDS = {f"https://gitops-runner.dev/predicates/{kind}/v1": kind for kind in FIELDS if kind != "run"}
KINDS["https://slsa.dev/provenance/v1"] = "run"
Key = namedtuple("Key", "names public roles first last")  # its names: one for records, one for checkpoints


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """End with 1, as the runner does where the usage is wrong; argparse would take 2."""
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def encode(data):
    return base64.b64encode(data).decode()


def as_json(value, **form):
    return json.dumps(value, sort_keys=True, ensure_ascii=False, **form).encode("utf-8", "surrogatepass")


canonical = functools.partial(as_json, separators=(",", ":"), allow_nan=False)


def need(holds, otherwise):
    if not holds:
        raise ValueError(otherwise)


def read_trust(text):
    """Keys, and up to which record none is needed, of a trust file; ValueError unless it looks as in docs/audit.md."""
    rows, unsigned_to = [], 0
    for line in (re.sub(r"(^|\s)#.*", "", line).rstrip() for line in text.splitlines()):
        if found := re.fullmatch(r" *- key: ssh-ed25519 (\S+)( .*)?", line):
            rows.append({"blob": base64.b64decode(found[1], validate=True)})
        elif rows and (found := re.fullmatch(r" +(?:(from|to): ([0-9]+)|roles: \[([a-z, ]+)\])", line)):
            rows[-1][found[1] or "roles"] = int(found[2]) if found[1] else set(re.split(", *", found[3]))
        elif found := re.fullmatch(r"unsigned: \{to: ([0-9]+)\}", line):
            unsigned_to = int(found[1])
        else:
            known = line in ("", "apiVersion: runner/v1", "kind: Trust", "keys:")
            need(known, f"the trust file is not in the form that docs/audit.md shows: {line}")
    keys = []
    for row in rows:
        public, fingerprint = row["blob"][-32:], "SHA256:" + encode(sha256(row["blob"])).rstrip("=")
        valid = row.get("roles", {"runner"}), row.get("from", 1), row.get("to", float("inf"))
        in_notes = "gitops-runner", sha256(b"gitops-runner\n\1", public)[:4]
        keys.append(Key((fingerprint, in_notes), public, *valid))
    return keys, unsigned_to


def check_signed(place, made, message, number, roles, trust):
    """Whether record `number`, or the checkpoint at it, is signed by who may; `made`: names of keys and signatures."""
    if trust is None or (not made and number <= trust[1]):
        return
    tried = [(key, signature) for name, signature in made for key in trust[0] if name in key.names]
    try:
        for key, signature in tried:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
        need(tried, "is not signed by a key that is trusted")
    except (InvalidSignature, ValueError) as error:
        yield SIGNATURE, place, str(error) or "has a signature that is wrong"
        return
    if not any(key.roles & roles and key.first <= number <= key.last for key, _ in tried):
        yield POLICY, place, "is signed by a key that may not sign it"


def read_record(data):
    """Kind, own part, signatures and what they are of; one of NONSENSE unless this is a record in its one form."""
    envelope = json.loads(data)
    payload = base64.b64decode(envelope["payload"], validate=True)
    made = [(row["keyid"], base64.b64decode(row["sig"], validate=True)) for row in envelope["signatures"]]
    rows = [{"keyid": str(name), "sig": encode(signature)} for name, signature in made]
    again = {"payload": encode(payload), "payloadType": "application/vnd.in-toto+json", "signatures": rows}
    statement = json.loads(payload)
    need(canonical(again) + b"\n" == data and canonical(statement) == payload, "is not in canonical form")
    need(statement.keys() == {"_type", "subject", "predicateType", "predicate"}, "is not a statement")
    kind, own = KINDS[statement["predicateType"]], statement["predicate"]
    own = own["gitopsrunner_record"] if kind == "run" else own
    known = PLACE | {kind} | ({"adoptedFrom"} if kind == "run" else set())
    need(PLACE | {kind} <= own.keys() <= known and own[kind].keys() >= set(FIELDS[kind].split()), "lacks a field")
    need((own["schema"], statement["_type"]) == (1, "https://in-toto.io/Statement/v1"), "is of another version")
    return kind, own, made, b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)


class Chain:
    """What records come to, one after the other; `roles`, `states` and `peaks` after so many of them, from 0 on."""

    def __init__(self):
        self.records, self.roles, self.states, self.peaks = [], [{"runner"}], [None], [()]
        self.runs, self.own_runs, self.keys, self.standing, self.proposed = {}, set(), {}, {}, []
        self.digest, self.dated, self.desired, self.location = None, "", None, None
        self.verified = {}  # by run key the newest record that verified it, and the newest that found other bytes

    def add(self, data, kind, own):
        """The next record; one of NONSENSE unless it is in its place."""
        number, part, state, adopted = len(self.records) + 1, own[kind], None, "adoptedFrom" in own
        need((own["sequence"], own["previous"]) == (number, self.digest), "does not follow from the one before it")
        need(own["recordedAt"] >= self.dated, "is dated before one that precedes it")
        self.digest, self.dated = hashlib.sha256(data).hexdigest(), own["recordedAt"]
        if kind == "run":
            key, good = part["key"], part["outcome"]["succeeded"]
            need(adopted or part["runId"] not in self.own_runs, "states a run again")
            self.own_runs |= set() if adopted else {part["runId"]}
            self.runs[number] = part
            if good or not self.keys.get(key, (0, False))[1]:
                self.keys[key] = number, good
        elif kind == "reconcile":
            self.standing |= {row["stage"]: (row["key"], row["record"], row["provenance"]) for row in part["standing"]}
            for stage in part["removed"]:
                self.standing.pop(stage, None)
            self.desired = self.desired if part["late"] and self.desired else part["desired"]
            self.location = part["location"]
            self.proposed += [number] if part["trust"] == "proposed" else []
        elif kind == "verification":
            for row in part["runs"]:
                need(self.runs[row["record"]]["key"] == row["key"], "verifies a run of another key")
                differed = number if row["result"] == "differs" else self.verified.get(row["key"], (0, "-"))[1]
                self.verified[row["key"]] = number, differed
        if kind in ("reconcile", "verification"):  # what ends a state commit
            end = {"schema": 1, "desired": self.desired, "location": self.location}
            state = as_json(end | {"sequence": number, "digest": self.digest}, indent=1) + b"\n"
        proposed = kind in ("run", "reconcile") and part["trust"] == "proposed" and not adopted
        self.roles.append({"approver"} if kind == "approval" else {"runner", "proposals"} if proposed else {"runner"})
        self.records.append(data)
        self.states.append(state)
        size, top, peaks = 1, sha256(b"\0", data), self.peaks[-1]
        while peaks and peaks[-1][0] == size:  # roots of whole subtrees (RFC 6962), the largest first
            size, top, peaks = 2 * size, sha256(b"\1", peaks[-1][1], top), peaks[:-1]
        self.peaks.append((*peaks, (size, top)))


def check_verified(files, chain, folder=".runner/verified/"):
    """The index of verifications says what the records of them say."""
    wanted = {}
    for key, numbers in sorted(chain.verified.items()):
        line = " ".join(map(str, (key, *numbers))).encode() + b"\n"
        wanted[folder + key[:2]] = wanted.get(folder + key[:2], b"") + line
    found = {path: data for path, data in files.items() if path.startswith(folder)}
    for path in sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)):
        yield BYTES, path, "does not say what the verifications say"


def read_note(data):
    """Origin, size, root, signatures and signed text of a checkpoint; ValueError unless it is in its one form."""
    try:
        text, _, below = data.decode().partition("\n\n")
        origin, size, top = text.split("\n")
        lines = re.findall("^\u2014 (\\S+) (\\S+)$", below, re.M)
        rows = [(name, base64.b64decode(row, validate=True)) for name, row in lines]
        top, lines = base64.b64decode(top, validate=True), [f"\u2014 {name} {encode(row)}\n" for name, row in rows]
        again = f"{origin}\n{int(size)}\n{encode(top)}\n\n{''.join(lines)}"
    except ValueError:  # what Python says of it would tell nobody more
        again = ""
    need(again and again.encode() == data, "it is not in its one form: three lines, an empty one, and signatures")
    return origin, int(size), top, [((name, row[:4]), row[4:]) for name, row in rows], text.encode() + b"\n"


def check_note(place, data, chain, trust, wanted=None):
    """Whether a checkpoint is of the first of these records (of `wanted` of them), and signed by who may."""
    try:
        origin, size, found, made, text = read_note(data)
    except NONSENSE as error:
        yield ROLLBACK, place, f"is no checkpoint: {error}"
        return
    there = len(chain.records)
    name = "gitops-runner.dev/ledger/" + hashlib.sha256(chain.records[0]).hexdigest()[:32] if there else ""
    tops = [top for _, top in chain.peaks[size]] if 0 < size <= there else [b""]
    root = functools.reduce(lambda right, left: sha256(b"\1", left, right), reversed(tops))
    if (origin, found) != (name, root) or wanted not in (None, size):
        yield ROLLBACK, place, f"is of {size} records, and not of the {wanted or there} that are there"
    yield from check_signed(place, made, text, size, chain.roles[size] if 0 < size <= there else {"runner"}, trust)
