"""Robots: how each is built, and their kinematics in JAX."""

from sim.robots import panda as _panda  # noqa: F401  registers the arm, as the next line does
from sim.robots import widowx as _widowx
from sim.robots.base import (
    FixedCamera,
    Robot,
    WristCamera,
    camera_quat,
    get_robot,
    gripper_down_quat,
    register,
)

DEFAULT_ROBOT = _widowx.WIDOWX.name

__all__ = [
    "DEFAULT_ROBOT",
    "FixedCamera",
    "Robot",
    "WristCamera",
    "camera_quat",
    "get_robot",
    "gripper_down_quat",
    "register",
]
