"""Processes that are not git: stages, their isolation, their logs, their environments and secrets, and this host's
facts.

Rule of this room: it alone starts such processes. It imports `runner.errors` and the standard library only, knows
nothing of specs, git or DVC, and nothing that it started outlives the call that started it. Stages are forked by the
keeper (`keeper.py`, one small single-threaded program for each runner), never by a thread of the runner itself.
"""

from __future__ import annotations
