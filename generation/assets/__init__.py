"""Procedural objects: parametric families of primitives, their colours and mass properties."""
