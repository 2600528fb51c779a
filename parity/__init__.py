"""Comparison with recordings of the published implementations: the same weights and inputs, and what they led to."""

from parity.checks import Report, check_folder

__all__ = ["Report", "check_folder"]
