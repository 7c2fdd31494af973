"""What lies outside `.runner/` in a state commit, for verify.py: the desired commit's files, and uncached outputs.

What DVC's own files say (dvc.lock, dvc.yaml, .gitignore, .dvcignore) is not checked.
"""

import hashlib
import json
import re

import commits
from records import need

RECORDED, STATE = ".runner/recorded/", ".runner/state.json"
OF_DVC = re.compile(r"(^|/)(dvc\.lock|\.gitignore|\.dvcignore|\.runner/pipelines/[^/]+/dvc\.(yaml|lock))$")
CONFIG = re.compile(r"(^|/)\.dvc/config$")  # the runner adds one without a line where people have no DVC project


def wrong(files, repository, newest):
    """Path and text of what of the newest state commit should not be there, or is not what it should be."""
    if newest is None:  # people commit to the branch, too, or what its records say is not known
        return
    desired = json.loads(files[STATE])["desired"]
    need(re.fullmatch("[0-9a-f]{40,64}", desired))
    ours, theirs = (commits.everything(repository, name) for name in (newest, desired))
    if theirs is None and commits.git(repository, "rev-parse", "--is-shallow-repository") != b"true\n":
        yield STATE, "names a desired commit that is not here"

    def read(ids):
        return dict(zip(ids, commits.objects(repository, ids), strict=True))

    for path in differing(files, ours, theirs, read) if theirs is not None else ():
        yield path, "is not what the desired commit and what stands come to"


def differing(files, ours, theirs, read):
    """Paths that are neither as in the desired commit nor what stands; DVC's files are left out.

    `ours` and `theirs`: path to mode and id; `read` gives the bytes of ids.
    """
    rows = [json.loads(files[path]) for path in files if path.startswith(RECORDED)]
    outs = {out["path"]: (out, row["record"]) for row in rows for out in row["outs"] if out.get("cache") is False}
    for path, (out, record) in outs.items():
        here, there = ({name: row for name, row in tree.items() if inside(name, path)} for tree in (ours, theirs))
        data = read([oid for mode, oid in here.values() if mode in ("100644", "100755")])
        digests = {name: hashlib.md5(data[oid]).hexdigest() for name, (_, oid) in here.items() if oid in data}
        listing = [{"md5": md5, "relpath": name[len(path) + 1 :]} for name, md5 in sorted(digests.items())]
        whole = f"{hashlib.md5(json.dumps(listing).encode()).hexdigest()}.dir"
        same = len(digests) == len(here) and out["md5"] == digests.get(path, whole)
        if not same and (record is not None or here != there):  # evidence may be of what people committed
            yield path
    for path in sorted(ours.keys() | theirs.keys()):
        kept = ours.get(path) == theirs.get(path) or (path not in ours and path.startswith(".github/"))
        if path not in theirs and CONFIG.search(path):
            kept = ours[path] == ("100644", commits.git_id(b"", len(ours[path][1])))
        if not kept and not OF_DVC.search(path) and not any(inside(path, out) or inside(out, path) for out in outs):
            yield path


def inside(path, folder):
    return path == folder or path.startswith(f"{folder}/")
