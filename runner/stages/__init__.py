"""The built-in stages: each one a program that reads files and writes files, by hand as in a pipeline.

The rule of this room: a stage knows its arguments and its files, and nothing of the reconciler. The same arguments,
inputs and seed give the same bytes. What is wrong with its input is said in a sentence and ends with exit code 1.
"""
