"""Views: what people and programs read of plans, results and history.

Rule: turns values into text and decides nothing; every view for people has one for programs beside it.
"""
