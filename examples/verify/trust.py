"""Which keys a trust file lets sign what; for verify.py."""

import base64
import re
import sys
from collections import namedtuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from records import decode, need, sha256

MORE = r" +(?:(?:from|to): [0-9]+|(?:roles|approves): \[[\w,. -]+\]|principal: \S+)\n"
KEY_ROWS = rf" *- key: ssh-ed25519 (\S+)(?: .*)?\n((?:{MORE})*)"
TRUST = rf"(?:(?:apiVersion: runner/v1|kind: Trust|keys:|unsigned: \{{to: [0-9]+\}})\n|{KEY_ROWS})*"
Key = namedtuple("Key", "names public roles first last approves")  # its names: one for records, one for checkpoints


def read_trust(data):
    """The keys of a trust file, and the last record that needs none; ValueError unless it looks as in docs/audit.md."""
    lines = (re.sub(r"(^|\s)#.*", "", line).rstrip() for line in data.decode().splitlines())
    text, keys = "".join(f"{line}\n" for line in lines if line), []
    rows = re.findall(KEY_ROWS, text)
    need(re.fullmatch(TRUST, text), len(dict(rows)) == len(rows))
    for blob, more in rows:
        blob, more = decode(blob), dict(re.findall(r"(\w+): (.*)", more))
        fingerprint = "SHA256:" + base64.b64encode(sha256(blob)).decode().rstrip("=")
        approves = set(re.findall(r"[\w.-]+", more.get("approves", "")))
        roles = more.get("roles", "approver" if approves else "runner")
        names = fingerprint, sha256(b"gitops-runner\n\1", blob[-32:])[:4]
        public, last = Ed25519PublicKey.from_public_bytes(blob[-32:]), int(more.get("to", sys.maxsize))
        keys.append(Key(names, public, set(re.findall("[a-z]+", roles)), int(more.get("from", 1)), last, approves))
    return keys, max(map(int, re.findall(r"^unsigned: \{to: (.*)\}", text, re.M)), default=0)
