"""Building blocks of the heads: attention, decoders, position encodings."""
