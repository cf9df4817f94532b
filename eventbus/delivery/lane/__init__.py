"""The delivery state of one subscription. Pure."""
