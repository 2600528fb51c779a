"""Trained detectors as ONNX files, which `detection.deployment` runs without torch, and Autoware's node."""
