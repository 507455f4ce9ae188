"""Batched simulation in JAX: scenes, robots, physics, rendering and the task."""
