"""Readers of robot and scene descriptions."""
