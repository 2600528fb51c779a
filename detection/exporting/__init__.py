"""Trained detectors as ONNX files that run without torch: `detection.deployment` runs them, and so does Autoware's node."""
