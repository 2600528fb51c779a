"""A home for results: what was run, on what, with which numbers, in one SQLite file."""
