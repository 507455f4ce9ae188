"""The procedural kinds of objects."""
