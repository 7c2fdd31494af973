"""Where everything recorded lies below `.runner/` on a state branch, and reading it back.

Rule: reads immutable git objects through a reader that is given; writes nothing and decides nothing.
"""
