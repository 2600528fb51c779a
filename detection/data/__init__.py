"""Data of the detector: info files, data sets, transforms, samplers."""
