"""The data room: bytes by their digest, in DVC's own formats. It alone imports DVC, and imports it late.

Rule: files (cache, remotes, lock, run-cache) are the contract and are read and written by our own code; DVC's classes
are a convenience, imported inside the function that needs them. Nothing here knows plans, records or git.
"""
