"""What the repository asks for, read from git objects: YAML documents, DVC files and parameters, as nouns of the core.

Rule: this room parses and compares. It executes nothing of the repository: no command, no hook, no filter, no
template engine but DVC's own `${}` resolver, no Python file (parameters in Python are read by `ast`). Every input is
bounded before it is parsed, and everything that is wrong with it becomes a `Finding` with a position.
"""
