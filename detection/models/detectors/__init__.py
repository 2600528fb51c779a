"""Detectors: backbone, neck and heads put together."""
