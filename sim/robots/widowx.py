"""Trossen WidowX-250S: six joints and a parallel gripper, mesh-free.

Link frames, joint axes and limits, masses and inertias are the manufacturer's published
numbers (Interbotix `wx250s` URDF, as in MuJoCo Menagerie's trossen_wx250s). Shapes are
capsules and boxes fitted to the links; only those collide that can usefully touch something.

Departures from the published model, and why:
- Gravity is compensated on every link, as the real servos' integral term does, so that position
  targets are reached without steady-state error.
- Dry friction in the joints is left out: it would cost one constraint row a joint in every
  solver step.
- Servo gains and rotor inertia are set for a 5 cm motion within one 0.2 s control step, and so
  that explicit integration is stable up to a physics step of 25 ms: damping * step / inertia and
  stiffness * step^2 / inertia stay below 1.
- The finger slides reach 5 mm further inwards than the published 15 mm, so that an object is
  squeezed with 2 to 5 newtons; the two fingers are driven independently.
- The robot does not collide with itself: its geoms answer contacts but do not start any.
"""

from __future__ import annotations

import math

import mujoco

from sim.robots.base import FixedCamera, Quat, Robot, Vec3, WristCamera, camera_quat, register
from sim.robots.parts import add_geom, add_joint, add_servo, set_inertia

_DARK = (0.13, 0.13, 0.15, 1.0)
_GREY = (0.32, 0.33, 0.36, 1.0)
_FINGER = (0.78, 0.79, 0.80, 1.0)

# name, parent, frame in parent, joint (name, axis, range), inertia (mass, com, quat, diagonal).
_LINKS: tuple[tuple[str, str, Vec3, tuple, tuple], ...] = (
    (
        "shoulder_link",
        "robot_base",
        (0.0, 0.0, 0.072),
        ("waist", (0, 0, 1), (-3.14158, 3.14158)),
        (
            0.480879,
            (2.23482e-05, 4.14609e-05, 0.0066287),
            (0.0130352, 0.706387, 0.012996, 0.707586),
            (5.88946e-4, 5.55655e-4, 3.78999e-4),
        ),
    ),
    (
        "upper_arm_link",
        "shoulder_link",
        (0.0, 0.0, 0.03865),
        ("shoulder", (0, 1, 0), (-1.88496, 1.98968)),
        (
            0.430811,
            (0.0171605, 2.725e-07, 0.191323),
            (0.705539, 0.0470667, -0.0470667, 0.705539),
            (3.64425e-3, 3.463e-3, 3.99348e-4),
        ),
    ),
    (
        "upper_forearm_link",
        "upper_arm_link",
        (0.04975, 0.0, 0.25),
        ("elbow", (0, 1, 0), (-2.14675, 1.6057)),
        (
            0.234589,
            (0.107963, 1.15876e-4, 0.0),
            (9.80829e-4, 0.707106, -9.80829e-4, 0.707106),
            (8.88e-4, 8.87807e-4, 3.97035e-5),
        ),
    ),
    (
        "lower_forearm_link",
        "upper_forearm_link",
        (0.175, 0.0, 0.0),
        ("forearm_roll", (1, 0, 0), (-3.14158, 3.14158)),
        (
            0.220991,
            (0.0374395, 0.00522252, 0.0),
            (-0.0732511, 0.703302, 0.0732511, 0.703302),
            (1.834e-4, 1.72527e-4, 5.88633e-5),
        ),
    ),
    (
        "wrist_link",
        "lower_forearm_link",
        (0.075, 0.0, 0.0),
        ("wrist_angle", (0, 1, 0), (-1.74533, 2.14675)),
        (
            0.084957,
            (0.04236, -1.0663e-05, 0.010577),
            (0.608721, 0.363497, -0.359175, 0.606895),
            (3.29057e-5, 3.082e-5, 2.68343e-5),
        ),
    ),
    (
        "gripper_link",
        "wrist_link",
        (0.065, 0.0, 0.0),
        ("wrist_rotate", (1, 0, 0), (-3.14158, 3.14158)),
        (
            0.110084,
            (0.0325296, 4.2061e-07, 0.0090959),
            (0.546081, 0.419626, 0.62801, 0.362371),
            (3.07592e-3, 3.07326e-3, 3.0332e-3),
        ),
    ),
)

_BASE_INERTIA = (
    0.538736,
    (-0.0380446, 6.13892e-4, 0.0193354),
    (0.509292, 0.490887, -0.496359, 0.503269),
    (2.52518e-3, 2.11519e-3, 6.90737e-4),
)
_FINGER_INERTIA = (
    0.016246,
    (0.013816, 0.0, 0.0),
    (0.705384, 0.705384, -0.0493271, -0.0493271),
    (4.79509e-6, 3.7467e-6, 1.48651e-6),
)

# name, body, from, to, radius (capsules) or centre, half sizes (boxes), colour, collides. All that
# collides is a box: MJX compiles one collision function for every pair of shapes.
_CAPSULES: tuple[tuple[str, str, Vec3, Vec3, float, tuple, bool], ...] = (
    ("upper_arm", "upper_arm_link", (0, 0, 0.01), (0, 0, 0.25), 0.026, _DARK, False),
    ("elbow", "upper_arm_link", (0, 0, 0.25), (0.04975, 0, 0.25), 0.026, _GREY, False),
)
_BOXES: tuple[tuple[str, str, Vec3, Vec3, tuple, bool], ...] = (
    ("base", "robot_base", (-0.03, 0, 0.034), (0.075, 0.055, 0.034), _DARK, False),
    ("shoulder", "shoulder_link", (0, 0, 0.025), (0.034, 0.042, 0.03), _GREY, False),
    ("forearm", "upper_forearm_link", (0.125, 0, 0), (0.125, 0.021, 0.023), _DARK, True),
    ("wrist", "wrist_link", (0.03, 0, 0), (0.034, 0.02, 0.022), _GREY, True),
    ("gripper", "gripper_link", (0.012, 0, 0), (0.03, 0.034, 0.022), _DARK, True),
    ("gripper_bar", "gripper_link", (0.050, 0, 0), (0.008, 0.056, 0.012), _GREY, True),
)

# Finger slides: published range 0.015-0.037 m; the inner pad face lies 9 mm inside the frame.
_PAD_OFFSET = 0.009
_SLIDE_CLOSED = 0.010
_SLIDE_OPEN = 0.037
_PAD_HALF: Vec3 = (0.025, 0.005, 0.011)
_TCP_ABOVE_TIP = 0.009
_FINGER_X = 0.066
_TCP_X = _FINGER_X + 0.045 - _TCP_ABOVE_TIP

# Per joint: servo stiffness N m/rad, damping N m s/rad, rotor inertia kg m2.
_SERVO = {
    "waist": (120.0, 7.0, 0.1),
    "shoulder": (120.0, 7.0, 0.1),
    "elbow": (120.0, 7.0, 0.1),
    "forearm_roll": (60.0, 2.8, 0.08),
    "wrist_angle": (60.0, 2.8, 0.08),
    "wrist_rotate": (60.0, 2.8, 0.08),
}
_FINGER_SERVO = (200.0, 6.0, 0.2)  # N/m, N s/m, kg


def _add_finger(gripper: mujoco.MjsBody, side: str, sign: float) -> None:
    body = gripper.add_body(name=f"{side}_finger", pos=(_FINGER_X, 0.0, 0.0))
    set_inertia(body, _FINGER_INERTIA)
    limits = tuple(sorted((sign * _SLIDE_CLOSED, sign * _SLIDE_OPEN)))
    slide = mujoco.mjtJoint.mjJNT_SLIDE
    add_joint(body, f"{side}_finger", (0, 1, 0), limits, _FINGER_SERVO[2], slide)
    add_geom(
        body,
        f"{side}_pad",
        _FINGER,
        True,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(0.020, sign * (_PAD_HALF[1] - _PAD_OFFSET), 0.0),
        size=_PAD_HALF,
        friction=(2.0, 0.02, 0.0001),
    )


def _add_to_spec(spec: mujoco.MjSpec) -> None:
    """Adds the robot at the origin of the world body."""
    spec.compiler.degree = False  # an MjSpec starts out in degrees
    base = spec.worldbody.add_body(name="robot_base")
    set_inertia(base, _BASE_INERTIA)
    bodies = {"robot_base": base}
    for name, parent, pos, (joint, axis, limits), inertia in _LINKS:
        body = bodies[parent].add_body(name=name, pos=pos)
        set_inertia(body, inertia)
        add_joint(body, joint, axis, limits, _SERVO[joint][2])
        bodies[name] = body
    for name, body, start, end, radius, rgba, collides in _CAPSULES:
        add_geom(
            bodies[body],
            name,
            rgba,
            collides,
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=(*start, *end),
            size=(radius, 0, 0),
        )
    for name, body, pos, half, rgba, collides in _BOXES:
        add_geom(
            bodies[body], name, rgba, collides, type=mujoco.mjtGeom.mjGEOM_BOX, pos=pos, size=half
        )
    _add_finger(bodies["gripper_link"], "left", 1.0)
    _add_finger(bodies["gripper_link"], "right", -1.0)
    for joint, (kp, kv, _) in _SERVO.items():
        add_servo(spec, joint, kp, kv)
    for side in ("left", "right"):
        add_servo(spec, f"{side}_finger", *_FINGER_SERVO[:2])


# In front of the gripper, looking past its tips: what lies between the fingers and what is ahead of
# them are both in view, and the gripper itself takes up little of it.
_CAMERA_POS: Vec3 = (0.03, 0.0, 0.09)
_CAMERA_QUAT: Quat = camera_quat(_CAMERA_POS, (0.18, 0.0, 0.0), up=(0.0, 0.0, 1.0))

WIDOWX = register(
    Robot(
        name="widowx",
        add_to_spec=_add_to_spec,
        arm_joints=tuple(_SERVO),
        finger_joints=("left_finger", "right_finger"),
        arm_home=(0.0, -0.2351, 0.2686, 0.0, math.pi / 2 - 0.0335, 0.0),
        tcp_body="gripper_link",
        tcp_pos=(_TCP_X, 0.0, 0.0),
        tcp_quat=(1.0, 0.0, 0.0, 0.0),
        action_scale=(0.05, 0.25),
        gripper_open=(_SLIDE_OPEN, -_SLIDE_OPEN),
        gripper_closed=(_SLIDE_CLOSED, -_SLIDE_CLOSED),
        finger_gap=(2 * (_SLIDE_CLOSED - _PAD_OFFSET), 2 * (_SLIDE_OPEN - _PAD_OFFSET)),
        workspace_low=(0.10, -0.28, 0.01),
        workspace_high=(0.42, 0.28, 0.30),
        wrist_camera=WristCamera("gripper_link", _CAMERA_POS, _CAMERA_QUAT, math.radians(75.0)),
        fixed_camera=FixedCamera((0.66, 0.0, 0.42), (0.24, 0.0, 0.07), math.radians(42.0)),
    )
)
