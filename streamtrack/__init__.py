"""The installed command: `streamtrack NAME` runs `tools/NAME.py`."""
