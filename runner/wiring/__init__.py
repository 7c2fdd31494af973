"""Wiring: the one place that knows which parts there are and puts them together.

Rule: the environment, the clock and randomness are read here and handed on; nothing here decides what runs.
"""
