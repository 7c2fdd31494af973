"""What a plan can say of a stage."""

from __future__ import annotations

from enum import Enum


class Action(Enum):
    """What a plan says of a stage; decides, and is never derived from a reason."""

    KEEP = "keep"
    """What is recorded for this stage is what is asked for."""
    REUSE = "reuse"
    """The same key ran before, elsewhere or earlier: its outputs are taken."""
    RUN = "run"
    """Nothing is known of this key, or somebody asked for another try."""
    WAIT = "wait"
    """An input will be made again; asked again when it is there."""
    PROBE = "probe"
    """Only the network can tell whether an input changed."""
    UNKNOWN = "unknown"
    """The commit and the state do not tell; the reason says what is missing."""
    FAILED = "failed"
    """This key failed and nothing asks for another try; what needs it waits."""
    REMOVE = "remove"
    """Recorded, and no longer asked for."""
