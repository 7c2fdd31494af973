"""A GitOps runner for machine learning: it makes recorded results match the specs in a git repository."""

from __future__ import annotations

__version__ = "0.1.0"
