"""Talking to services that make 3D models."""
