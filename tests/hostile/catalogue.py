"""All mechanisms: importing their modules registers them."""

from __future__ import annotations

from tests.hostile.kinds import MECHANISMS, every_case
from tests.hostile.mechanisms import (
    clones,
    code,
    dvc_files,
    library,
    objects,
    paths,
    plans,
    spec_text,
    states,
    templates,
    words,
)  # fmt: skip

__all__ = [
    "MECHANISMS", "clones", "code", "dvc_files", "every_case", "library", "objects", "paths", "plans", "spec_text",
    "states", "templates", "words",
]  # fmt: skip
