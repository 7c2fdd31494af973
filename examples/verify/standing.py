"""What has to lie beside a ledger because its records say so, for verify.py: indexes, what stands, and kept objects.

Every file is made again from the records and has to be there to the byte. Of a file itself is taken only what no record
says: the place in git and the sizes of inputs of what stands, and which older records the index of sealed keys names.
"""

import hashlib
import json
import re

from records import NONSENSE, as_json, need

KEYS, SEALED_KEYS, VERIFIED = ".runner/keys/", ".runner/keys-sealed/", ".runner/verified/"
RECORDED, OBJECTS = ".runner/recorded/", ".runner/objects/"
RELEASES, RELEASED = ".runner/releases/", ".runner/released/"  # what is served, and what is remembered of it
DEPLOYED = ".runner/deployed/"  # how the command of a target ended last
SERVED = "deployment environment version model format stage run key commit at serving spec settings replaces"
AGAIN = "model format stage run key commit serving settings spec evidence metrics"  # what a rollback says again
ENTRY = {"pipeline", "stage", "key", "provenance", "record", "material", "outs", "inputs", "adoptedFrom"}


def indexes(files, runs, verified):
    """The indexes by path; of each key they name the newest success, else the newest failure."""
    said = {number: (run["key"], "ok" if run["outcome"]["succeeded"] else "failed") for number, run in runs.items()}
    sealed = max(map(int, re.findall(r"/sealed/[0-9]{9}-([0-9]{9})\.jsonl", "\n".join(files))), default=0)
    data = b"".join(files[path] for path in files if path.startswith(SEALED_KEYS))
    named = {int(number) for number in re.findall(rb" ([0-9]{1,9}) ", data)} & set(range(1, sealed + 1)) & said.keys()
    rows = {(SEALED_KEYS, said[number][0]): (number, said[number][1]) for number in named}
    in_order = sorted(said, key=lambda number: (said[number][1] == "ok", number))
    counting = {said[number][0]: number for number in in_order}  # the last one of a key counts
    for key, number in counting.items():
        rows[KEYS if number > sealed else SEALED_KEYS, key] = number, said[number][1]
    rows |= {(VERIFIED, key): numbers for key, numbers in verified.items()}
    lines = {}
    for (folder, key), says in sorted(rows.items()):
        lines.setdefault(folder + key[:2], []).append(" ".join(map(str, (key, *says))) + "\n")
    return {path: "".join(texts).encode() for path, texts in lines.items()}


def entry(data, runs, stands):
    """Path and bytes of what stands for the stage that a file names, which is taken out of `stands`."""
    found = json.loads(data)
    key, record, provenance, forms = stands.pop(f"{found['pipeline']}:{found['stage']}")
    again = {name: found[name] for name in found.keys() & ENTRY}
    again |= {"key": key, "record": record, "provenance": provenance} | ({"forms": forms} if forms else {})
    if record is not None:
        need(runs[record]["key"] == key, runs[record]["outcome"]["succeeded"])
        # Where in git an uncached output lies may become known after its run was recorded.
        outs = [{**out, "git": row.get("git")} for out, row in zip(runs[record]["outs"], found["outs"], strict=True)]
        again["outs"] = [{name: value for name, value in out.items() if value is not None} for out in outs]
        again |= {name: runs[record][name] for name in ("material", "inputs") if name in found or runs[record][name]}
    again |= {"times": [took(number, runs[number]) for number, _, _ in found["times"]]} if found.get("times") else {}
    path = "/".join(map(encoded, (found["pipeline"], found["stage"])))
    return f"{RECORDED}{path}.json", as_json(again, None, indent=1)


def took(number, run):
    """What a run that was neither restored nor made again took, and the system, machine and cores of its host."""
    words, cores = run["host"].get("platform", "").split(), run["host"].get("cores")
    need(type(number) is int, run["outcome"]["reason"] == "ok", run["provenance"] == "runner")
    kind = f"{cores:g}" if isinstance(cores, (int, float)) else "?"
    return [number, round(run["seconds"], 3), " ".join([*words[:1], *words[-1:], kind])]


def encoded(name):
    """A name of a pipeline or stage as a part of a path."""
    data = name.encode("utf-8", "surrogateescape")
    text = re.sub(rb"[^A-Za-z0-9_@=,+.-]|^\.", lambda found: b"%%%02X" % found[0][0], data).decode()
    return text if len(text) <= 180 else f"{text[:147]}%{hashlib.sha256(data).hexdigest()[:32]}"


def check_ground(part, stands, versions, stated):
    """Whether a release rests on what it names: a verdict that passes, a version before, or the model that stood."""
    model, gate, event = part["model"], part["gate"], part["event"]
    names = [[row["path"], row["sha256"]] for row in model["files"]]
    need(hashlib.sha256(as_json(names).rstrip()).hexdigest() == model["sha256"])
    if event == "rollback":
        kind, older = stated[dict(versions)[part["of"]] - 1]
        need(kind == "release", [part[name] for name in AGAIN.split()] == [older[name] for name in AGAIN.split()])
    elif event == "settings":
        need(stands["model"]["sha256"] == model["sha256"])
    elif gate is None:
        need(model["sha256"] in {stated[record - 1][1]["model"]["sha256"] for _, record in versions})
    else:
        kind, verdict = stated[gate - 1]
        same = [verdict[name] == part[name] for name in ["deployment", "environment", "version", "spec", "desired"]]
        need(kind == "gate", gate > 0, all(same), verdict["outcome"] == "release", verdict["verdict"] == "pass")
        need((verdict["model"], verdict["md5"]) == (model["sha256"], model["md5"]), not verdict["blockers"])


def releases(number, kind, part, served, remembered, stated):
    """What is served in an environment, and what is remembered of it, once a verdict or a release is recorded."""
    place = part["deployment"], part["environment"]
    new = {"schema": 1, "deployment": place[0], "environment": place[1], "last": 0}
    known = remembered.setdefault(place, new | {"versions": [], "quarantine": [], "refused": None})
    if kind == "gate":
        refused = {"model": part["md5"], "spec": part["spec"], "record": number}
        known["refused"] = refused if part["outcome"] == "refused" else None
        return
    stands = served.pop(place, {"version": None})
    need(part["replaces"] == stands["version"])
    rejected = [row for row in known["quarantine"] if row["model"] != (part["model"] or {"md5": None})["md5"]]
    known["quarantine"] = [*rejected, *([part["quarantined"]] if part["quarantined"] else [])][-100:]
    if part["event"] in ("removed", "withdrawn"):
        need(part["replaces"] is not None)
    else:
        need(part["version"] == known["last"] + 1)
        check_ground(part, stands, known["versions"], stated[: number - 1])
        known["last"], known["versions"] = part["version"], [*known["versions"], [part["version"], number]]
        served[place] = {"schema": 1, "record": number} | {name: part[name] for name in SERVED.split()}


def deploy(number, part, deployed, remembered, stated):
    """How the command of an environment ended last, once one more outcome of it is recorded."""
    place, ended = (part["deployment"], part["environment"]), part["outcome"]
    need([part["version"], part["release"]] in remembered[place]["versions"])
    need(stated[part["release"] - 1][1]["model"]["sha256"] == part["model"])
    good = deployed.get(place, {"good": None})["good"]
    good = (part["version"] if part["event"] == "deploy" else None) if ended["succeeded"] else good
    said = {name: part[name] for name in ("deployment", "environment", "event", "release", "version")}
    said |= {"succeeded": ended["succeeded"], "why": ended["message"], "run": part["runId"], "good": good}
    deployed[place] = {"schema": 1, "record": number} | said


def differing(files, runs, stated):
    """Paths of what is not as the records have it; `runs` by number, and `stated`: kind and own part of each record.

    Raises one of NONSENSE where what they state makes no sense.
    """
    stands, verified, wanted, served, remembered, deployed = {}, {}, {}, {}, {}, {}
    for number, (kind, part) in enumerate(stated, 1):
        if kind == "reconcile":
            for row in part["standing"]:
                stands[row["stage"]] = row["key"], row["record"], row["provenance"], row.get("forms")
            stands = {stage: says for stage, says in stands.items() if stage not in part["removed"]}
        for row in part["runs"] if kind == "verification" else []:  # the newest one, and the newest with other bytes
            differed = number if row["result"] == "differs" else verified.get(row["key"], (0, "-"))[1]
            verified[row["key"]] = number, differed
        if kind in ("gate", "release"):
            releases(number, kind, part, served, remembered, stated)
        if kind == "deploy":
            deploy(number, part, deployed, remembered, stated)
    told = KEYS, SEALED_KEYS, VERIFIED, RECORDED, RELEASES, RELEASED, DEPLOYED
    found = {path: data for path, data in files.items() if path.startswith(told)}
    for folder, rows in ((RELEASES, served), (RELEASED, remembered), (DEPLOYED, deployed)):
        wanted |= {f"{folder}{'/'.join(map(encoded, place))}.json": as_json(row) for place, row in rows.items()}
    for path in sorted(path for path in files if path.startswith(RECORDED)):
        try:
            path, data = entry(files[path], runs, stands)
            wanted[path] = data
        except NONSENSE:
            wanted[path] = None
    wanted |= indexes(files, runs, verified) | dict.fromkeys(map(RECORDED.__add__, stands))
    for path in filter(lambda path: path.startswith(OBJECTS), files):
        found[path] = hashlib.md5(files[path]).hexdigest()
        wanted[path] = path.removeprefix(OBJECTS).removesuffix(".dir")
    return sorted(path for path in found.keys() | wanted.keys() if path not in found or found[path] != wanted.get(path))
