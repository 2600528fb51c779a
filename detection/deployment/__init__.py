"""Exported detectors at work: what Autoware's node does, in Python. Needs numpy, OpenCV's kind of packages and onnxruntime;
no torch.

`detection.exporting` writes the files.
"""
