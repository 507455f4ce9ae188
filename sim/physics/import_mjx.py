"""Imports `mujoco.mjx` without its notice on stdout that the optional Warp backend is absent.

What MJX can collide and how it groups pairs of geoms is not in its public interface; the three
functions that this library needs are imported here and nowhere else.
"""

from __future__ import annotations

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    from mujoco import mjx
    from mujoco.mjx._src import collision_driver

collision_groups = collision_driver._geom_groups
"""Model → {key: [(geom, geom, pair)]}: the pairs of every collision function, key has `types`."""

collision_pairs = collision_driver.geom_pairs
"""Model → iterator of (geom, geom, pair), the geom of the lower type first."""

has_collider = collision_driver.has_collision_fn
"""Whether MJX can collide two types of geoms, the lower first."""


def points_per_pair(types: tuple[int, int]) -> int:
    """Contacts that MJX makes for a pair of these types, the lower first, touching or not."""
    return collision_driver._COLLISION_FUNC[types].ncon  # pyright: ignore[reportArgumentType]


__all__ = ["collision_groups", "collision_pairs", "has_collider", "mjx", "points_per_pair"]
