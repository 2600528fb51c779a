"""Exported detectors at work: what Autoware's node does, in Python, with onnxruntime and without torch.

`detection.exporting` writes the files.
"""
