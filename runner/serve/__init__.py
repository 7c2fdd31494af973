"""The model server: a supervisor that owns the listening socket, and workers that answer on it.

The rule of this room: nothing here knows git, specs or the ledger. It serves a folder that somebody names, by limits
and lists of allowed formats and types that somebody names, too; nothing in the folder extends them.
"""
