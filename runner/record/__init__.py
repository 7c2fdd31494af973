"""Record: results enter a local journal at once and the state branch together, by compare-and-swap.

Rule: bytes before names, intent before effect, outcome after. Nothing here decides what runs.
"""
