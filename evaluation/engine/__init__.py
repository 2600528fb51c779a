"""What the official metrics are computed with: boxes and tracks as tables, distances, compiled matching."""
