"""The command line: arguments in, exit code out.

Rule: parses arguments, calls the wiring, prints views; results go to stdout, everything else to stderr. A command's
own imports are made when it is called, so that `--help` and `--version` cost nothing.
"""
