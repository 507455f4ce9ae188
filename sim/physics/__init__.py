"""Physics engines behind one interface: MuJoCo on the host (native) and in JAX (mjx)."""

from sim.physics.base import CONTACTS, Physics, PhysicsState, get_physics

__all__ = ["CONTACTS", "Physics", "PhysicsState", "get_physics"]
