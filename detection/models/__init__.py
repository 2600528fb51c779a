"""The networks: backbones, necks, heads and the detectors made of them. Importing this package registers them all."""
