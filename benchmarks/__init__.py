"""Measurements of speed; each module runs as `python -m benchmarks.NAME`."""
