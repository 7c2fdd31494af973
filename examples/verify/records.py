"""What a record is, and what the records up to some number come to; for verify.py.

A record is a line of canonical JSON: an envelope (DSSE) around a statement (in-toto); see docs/state-branch.md.
"""

import base64
import hashlib
import json
from collections import namedtuple

NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)  # what bad input leads to
STATEMENT = {"_type", "subject", "predicateType", "predicate"}
COMMON = {"schema", "sequence", "previous", "recordedAt", "runnerVersion"}  # and beside these what its kind has:
FIELDS = {
    "run": "actor desired host inputs isolation key location log material metrics outcome outs pipeline provenance"
    " runId seconds stage startedAt startedFrom trust usage",
    "reconcile": "actor branch desired dropped host id late location open removed runs signing standing state trigger"
    " trust watched",
    "verification": "actor branch desired host id runs signing state trigger trust watched",
    "plan": "actor desired recordedDigest steps",
    "gate": "actor branch conditions deployment desired environment host id md5 model outcome signing spec state"
    " trigger trust verdict watched",
    "approval": "actor approved at branch commit deployment desired envelope environment host id keyid md5 model plan"
    " principal reason role signer signing state trigger trust watched",
    "release": "actor at branch commit deployment desired environment event format host id key model quarantined"
    " replaces run serving settings signing spec stage state trigger trust version watched",
    "deploy": "actor branch deployment desired environment event host id isolation log model outcome release runId"
    " seconds signing specs startedAt state trigger trust version watched",
    "monitor": "event monitor window",
}
ALONE = ("verification", "gate", "release", "deploy")  # they end commits that append to the ledger alone
End = namedtuple("End", "digest dated desired location state roles peaks parents")
NONE = End(None, "", None, None, b"", {"runner"}, (), None)  # what no record comes to


def need(*conditions):
    if not all(conditions):
        raise ValueError


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def decode(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text)  # nothing else decodes to the same
    return data


def as_json(value, separators=(",", ":"), **form):
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=separators, **form)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def open_envelope(data):
    """Statement, signatures and what they are of; one of NONSENSE unless this is an envelope in its one form."""
    envelope = json.loads(data)
    payload, rows = decode(envelope["payload"]), envelope["signatures"]
    made, statement = [(row["keyid"], decode(row["sig"])) for row in rows], json.loads(payload)
    need(as_json(envelope) == data, as_json(statement) == payload + b"\n", statement.keys() == STATEMENT)
    need(envelope.keys() == {"payload", "payloadType", "signatures"}, all(len(row) == 2 for row in rows))
    need(envelope["payloadType"] == "application/vnd.in-toto+json", all(isinstance(name, str) for name, _ in made))
    need(statement["_type"] == "https://in-toto.io/Statement/v1")
    return statement, made, b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)


def read_record(data):
    """Kind, own part, signatures and what they are of; one of NONSENSE unless this is a record in its one form."""
    statement, made, message = open_envelope(data)
    own = statement["predicate"].get("gitopsrunner_record", statement["predicate"])
    [kind] = own.keys() - COMMON - {"adoptedFrom"}
    named = "https://slsa.dev/provenance/v1" if kind == "run" else f"https://gitops-runner.dev/predicates/{kind}/v1"
    need(statement["predicateType"] == named)
    need(own.keys() > COMMON, own["schema"] == 1, kind == "run" or "adoptedFrom" not in own)
    need(own[kind].keys() >= set(FIELDS[kind].split()))
    return kind, own, made, message


def follow(end, number, data, kind, own, runs, seen):
    """What the records up to this one come to; `runs` by their numbers and the ids of those `seen` grow with it.

    Raises one of NONSENSE unless it follows from those before it.
    """
    need(own["sequence"] == number, own["previous"] == end.digest, own["recordedAt"] >= end.dated)
    part, digest, desired, location, state = own[kind], sha256(data).hex(), end.desired, end.location, b""
    parents = None
    adopted, proposed = "adoptedFrom" in own, kind in ("run", "reconcile") and part["trust"] == "proposed"
    if kind == "run":
        need(adopted or part["runId"] not in seen)
        runs[number] = part
        seen |= set() if adopted else {part["runId"]}
    if kind == "reconcile":
        desired, location = end.desired if part["late"] and end.desired else part["desired"], part["location"]
    if kind == "verification":
        need(*(runs[row["record"]]["key"] == row["key"] for row in part["runs"]))
    if kind in ("reconcile", *ALONE):  # these end a state commit
        state = {"schema": 1, "desired": desired, "location": location, "sequence": number, "digest": digest}
        state = as_json(state, None, indent=1)
        alone = part["state"] and (kind in ALONE or part["late"])  # such a commit is of the ledger alone
        parents = [name for name in (part["state"], None if alone else part["desired"]) if name]
        parents = None if part["branch"] == part["watched"] else parents  # there people's commits lie between
    roles = {"runner", "proposals"} if proposed and not adopted else {"runner"}
    size, root, peaks = 1, sha256(b"\0", data), end.peaks
    while peaks and peaks[-1][0] == size:  # roots of whole subtrees (RFC 6962), the largest first
        size, root, peaks = 2 * size, sha256(b"\1", peaks[-1][1], root), peaks[:-1]
    return End(digest, own["recordedAt"], desired, location, state, roles, (*peaks, (size, root)), parents)
