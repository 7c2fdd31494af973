"""Observe: read what is desired and what is recorded, both as git objects.

Rule: reads; runs nothing, writes nothing but its own caches, and never uses the network by itself.
"""
