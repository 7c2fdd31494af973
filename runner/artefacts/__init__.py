"""A model as a folder: the one room that writes such folders and reads them, for training as for serving.

The rule of this room: reading runs nothing. A type that is not on the reader's list of allowed ones ends with an
error that names it, and no file is opened before its digest was compared.

`write()` makes the folder of a fitted model, `read()` gives it back as an `Artefact`; docs/artefacts.md tells what lies
in it.
"""

from __future__ import annotations

from runner.artefacts.folder import Artefact, read, write

__all__ = ["Artefact", "read", "write"]
