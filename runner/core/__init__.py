"""The decisions of the runner, pure: same arguments, same answer.

Rule: nothing here reads a file, a clock, the environment or the network, starts a process or logs. Only
`runner.errors` and the pure parts of the standard library are imported.
"""
