"""Detectors and what their training needs. Its modules need torch: `pip install -e '.[detection]'`."""
