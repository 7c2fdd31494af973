"""Data contracts: what a table has to be, read from a file of the repository, checked, and inferred from a table.

The rule of this package: a contract and a table alone decide. The clock is never read, but where a call says `now`.
"""
