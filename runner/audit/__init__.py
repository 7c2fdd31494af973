"""Audit: whether a ledger is what the runner wrote, from any clone, without the network.

Rule: believes nothing that it can compute; names everything that is wrong, with its place.
"""
