"""Recordings and results in other formats: drives become nuScenes tables, detections come in, tracks go out."""
