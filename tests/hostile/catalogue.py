"""All mechanisms: importing their modules registers them."""

from __future__ import annotations

from tests.hostile.kinds import MECHANISMS, every_case
from tests.hostile.mechanisms import clones, dvc_files, objects, paths, plans, spec_text, states, templates, words

__all__ = [
    "MECHANISMS", "clones", "dvc_files", "every_case", "objects", "paths", "plans", "spec_text", "states",
    "templates", "words",
]  # fmt: skip
