"""Servers that pull: what is released is looked up in git, its bytes are fetched and checked, and somebody is told.

The rule of this room: it believes nothing before it was held against its digest, starts no model, and keeps nothing
that could not be fetched again. The process that answers requests imports of it what talks to the looker alone.
"""
