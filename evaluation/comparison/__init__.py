"""Runs side by side, with what chance alone would do."""
