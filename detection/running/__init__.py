"""Trained detectors at work: over data sets, on one's own frames and images, and against the clock."""
