"""Checkpoints of openpi and PaliGemma: names, reading, and runs made of them."""
