"""Everything the runner asks of git.

Rule: reading goes through plumbing commands alone, so that a plan starts few processes and imports little; writing
goes to a bare mirror of the runner's own, which may be thrown away at any time. Nothing here runs a hook or a filter,
reads the configuration of the host's user except by a stated allow-list, or lets a word from outside become an option.
"""
