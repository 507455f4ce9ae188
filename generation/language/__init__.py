"""Sentences: reading them, choosing objects for them, and saying tasks in many ways."""
