"""Franka Emika Panda: seven joints and the Franka Hand, mesh-free.

Link frames are the manufacturer's published modified (Craig) Denavit-Hartenberg parameters, limits
those of its data sheet. Masses, centres and inertias are those of Gaz, Cognetti, Oliva, Robuffo
Giordano, De Luca, "Dynamic Identification of the Franka Emika Panda Robot With Retrieval of
Feasible Parameters Using Penalty-Based Optimization" (RA-L 2019), as in franka_description and
MuJoCo Menagerie's franka_emika_panda. Shapes are capsules, cylinders and boxes fitted to the
links; only those collide that can usefully touch something.

The base stands `MOUNT_X` behind the world origin, so that objects lie where they do for a smaller
arm that stands at the origin itself (16 to 38 cm ahead of it). All poses stay in the world frame.

Departures from the published robot, and why:
- Gravity is compensated on every link, as the real arm's controller does.
- Servo gains and rotor inertia are set for a 5 cm motion within one 0.2 s control step, and so
  that explicit integration is stable at a physics step of 20 ms: damping * step / inertia and
  stiffness * step^2 / inertia stay below 1 for every direction in joint space. The light links of
  the wrist need more rotor inertia for that than the real ones have.
- Torque limits and dry friction are left out: they cost constraint rows or steady-state error.
- The two fingers are driven independently, and their targets reach 10 mm beyond contact, so that
  an object of any width is squeezed; the slides themselves stop at contact as published.
- The robot does not collide with itself: its geoms answer contacts but do not start any.
"""

from __future__ import annotations

import math

import mujoco

from sim.robots.base import FixedCamera, Quat, Robot, Vec3, WristCamera, camera_quat, register
from sim.robots.parts import add_geom, add_joint, add_servo, set_inertia

MOUNT_X = -0.25  # m, the base's place on the world's x axis

_WHITE = (0.90, 0.91, 0.92, 1.0)
_LIGHT = (0.80, 0.81, 0.83, 1.0)
_DARK = (0.20, 0.21, 0.23, 1.0)
_PAD = (0.30, 0.31, 0.33, 1.0)

# Per joint: a m, d m, alpha rad, limits rad. Frame i is frame i-1 turned about its x by alpha and
# moved along it by a, then turned about the new z by the joint angle and moved along it by d.
_DH: tuple[tuple[float, float, float, tuple[float, float]], ...] = (
    (0.0, 0.333, 0.0, (-2.8973, 2.8973)),
    (0.0, 0.0, -math.pi / 2, (-1.7628, 1.7628)),
    (0.0, 0.316, math.pi / 2, (-2.8973, 2.8973)),
    (0.0825, 0.0, math.pi / 2, (-3.0718, -0.0698)),
    (-0.0825, 0.384, -math.pi / 2, (-2.8973, 2.8973)),
    (0.0, 0.0, math.pi / 2, (-0.0175, 3.7525)),
    (0.088, 0.0, math.pi / 2, (-2.8973, 2.8973)),
)
_FLANGE_Z = 0.107
_HAND_YAW = -math.pi / 4
_FINGER_Z = 0.0584  # finger frames in the hand
_TCP_Z = 0.1034  # tool centre point in the hand

# Mass kg, centre of mass m, inertia about it (xx, yy, zz, xy, xz, yz) kg m2, in the link's frame.
_BASE_INERTIA = (
    0.629769,
    (-0.041018, -0.00014, 0.049974),
    (0.00315, 0.00388, 0.004285, 8.2904e-7, 0.00015, 8.2299e-6),
)
_LINK_INERTIA: tuple[tuple[float, Vec3, tuple[float, ...]], ...] = (
    (
        4.970684,
        (0.003875, 0.002081, -0.04762),
        (0.70337, 0.70661, 0.009117, -0.000139, 0.006772, 0.019169),
    ),
    (
        0.646926,
        (-0.003141, -0.02872, 0.003495),
        (0.007962, 0.02811, 0.025995, -0.003925, 0.010254, 0.000704),
    ),
    (
        3.228604,
        (0.027518, 0.039252, -0.066502),
        (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805),
    ),
    (
        3.587895,
        (-0.05317, 0.104419, 0.027454),
        (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641),
    ),
    (
        1.225946,
        (-0.011953, 0.041065, -0.038437),
        (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229),
    ),
    (
        1.666555,
        (0.060149, -0.014117, -0.010517),
        (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341),
    ),
    (
        0.735522,
        (0.010517, -0.004252, 0.061597),
        (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741),
    ),
)
_HAND_INERTIA = (0.73, (-0.01, 0.0, 0.03), (0.001, 0.0025, 0.0017, 0.0, 0.0, 0.0))
_FINGER_INERTIA = (0.015, (0.0, 0.0, 0.0), (2.375e-6, 2.375e-6, 7.5e-7, 0.0, 0.0, 0.0))

# Shapes that only show: type, name, body, from, to, radius m, colour.
_ROUND: tuple[tuple[str, str, str, Vec3, Vec3, float, tuple], ...] = (
    ("capsule", "column", "link1", (0, 0, -0.28), (0, 0, -0.05), 0.06, _WHITE),
    ("capsule", "shoulder", "link2", (0, 0, -0.055), (0, 0, 0.055), 0.06, _LIGHT),
    ("capsule", "upper_arm", "link3", (0, 0, -0.23), (0, 0, -0.08), 0.056, _WHITE),
    ("capsule", "upper_elbow", "link3", (0, 0, -0.08), (0.075, 0, 0), 0.05, _WHITE),
    ("capsule", "elbow", "link4", (0, 0, -0.055), (0, 0, 0.055), 0.055, _DARK),
    ("capsule", "lower_elbow", "link4", (0, 0, 0), (-0.0825, 0.08, 0), 0.05, _WHITE),
    ("capsule", "forearm", "link5", (0, 0, -0.30), (0, 0, -0.19), 0.054, _WHITE),
    ("capsule", "lower_arm", "link5", (0, 0.03, -0.19), (0, 0.065, -0.02), 0.042, _WHITE),
    ("capsule", "wrist", "link6", (0, 0, -0.03), (0, 0, 0.06), 0.048, _DARK),
    ("capsule", "wrist_arm", "link6", (0.01, 0, 0), (0.088, -0.02, 0), 0.046, _WHITE),
    ("cylinder", "flange", "link7", (0, 0, 0.04), (0, 0, _FLANGE_Z), 0.045, _LIGHT),
)

# The hand and its fingers show and collide. All that collides is a box: MJX compiles one collision
# function for every pair of shapes. The inner pad faces meet where the slides read 0.
_HAND_CENTRE: Vec3 = (0.0, 0.0, 0.033)
_HAND_HALF: Vec3 = (0.0316, 0.102, 0.033)
_RAIL_CENTRE: Vec3 = (0.0, 0.0, 0.057)  # dark strip around the hand's lower edge, where fingers run
_RAIL_HALF: Vec3 = (0.0321, 0.0925, 0.0095)
_PAD_HALF: Vec3 = (0.0105, 0.006, 0.027)
_PAD_Z = 0.0268  # centre in the finger frame: the tips lie 9 mm beyond the tool centre point
_SLIDE_OPEN = 0.04
_SQUEEZE = 0.01

# Per joint: servo stiffness N m/rad, damping N m s/rad, rotor inertia kg m2.
_SERVO: tuple[tuple[float, float, float], ...] = (
    (3800.0, 192.0, 3.5),
    (4000.0, 205.0, 3.5),
    (3500.0, 180.0, 3.5),
    (3300.0, 171.0, 3.5),
    (170.0, 8.8, 0.2),
    (180.0, 9.2, 0.2),
    (150.0, 7.8, 0.2),
)
_FINGER_SERVO = (200.0, 6.0, 0.2)  # N/m, N s/m, kg

_ARM_JOINTS = tuple(f"joint{i}" for i in range(1, 8))
_FINGER_JOINTS = ("left_finger", "right_finger")


def _add_links(base: mujoco.MjsBody) -> dict[str, mujoco.MjsBody]:
    bodies, parent = {"robot_base": base}, base
    links = zip(_DH, _LINK_INERTIA, _SERVO, strict=True)
    for i, ((a, d, alpha, limits), inertia, servo) in enumerate(links, start=1):
        cos, sin = math.cos(alpha), math.sin(alpha)
        turn = (math.cos(alpha / 2), math.sin(alpha / 2), 0.0, 0.0)
        body = parent.add_body(name=f"link{i}", pos=(a, -sin * d, cos * d), quat=turn)
        set_inertia(body, inertia)
        add_joint(body, f"joint{i}", (0, 0, 1), limits, servo[2])
        bodies[f"link{i}"] = parent = body
    return bodies


def _add_hand(flange: mujoco.MjsBody) -> None:
    turn = (math.cos(_HAND_YAW / 2), 0.0, 0.0, math.sin(_HAND_YAW / 2))
    hand = flange.add_body(name="hand", pos=(0.0, 0.0, _FLANGE_Z), quat=turn)
    set_inertia(hand, _HAND_INERTIA)
    box = mujoco.mjtGeom.mjGEOM_BOX
    add_geom(hand, "hand", _WHITE, True, type=box, pos=_HAND_CENTRE, size=_HAND_HALF)
    add_geom(hand, "rail", _DARK, False, type=box, pos=_RAIL_CENTRE, size=_RAIL_HALF)
    for joint, sign in zip(_FINGER_JOINTS, (1.0, -1.0), strict=True):
        finger = hand.add_body(name=joint, pos=(0.0, 0.0, _FINGER_Z))
        set_inertia(finger, _FINGER_INERTIA)
        slide = mujoco.mjtJoint.mjJNT_SLIDE
        add_joint(finger, joint, (0, sign, 0), (0.0, _SLIDE_OPEN), _FINGER_SERVO[2], slide)
        centre = (0.0, sign * _PAD_HALF[1], _PAD_Z)
        friction = (2.0, 0.02, 0.0001)
        add_geom(finger, joint, _PAD, True, type=box, pos=centre, size=_PAD_HALF, friction=friction)


def _add_to_spec(spec: mujoco.MjSpec) -> None:
    """Adds the robot, its base `MOUNT_X` along the world's x axis."""
    spec.compiler.degree = False  # an MjSpec starts out in degrees
    base = spec.worldbody.add_body(name="robot_base", pos=(MOUNT_X, 0.0, 0.0))
    set_inertia(base, _BASE_INERTIA)
    box = mujoco.mjtGeom.mjGEOM_BOX
    foot = {"type": box, "pos": (-0.04, 0.0, 0.03), "size": (0.1, 0.09, 0.03)}
    add_geom(base, "foot", _LIGHT, False, **foot)
    bodies = _add_links(base)
    for kind, name, body, start, end, radius, rgba in _ROUND:
        shape = {
            "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
            "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        }
        ends, size = (*start, *end), (radius, 0, 0)
        add_geom(bodies[body], name, rgba, False, type=shape[kind], fromto=ends, size=size)
    _add_hand(bodies["link7"])
    for joint, (kp, kv, _) in zip(_ARM_JOINTS, _SERVO, strict=True):
        add_servo(spec, joint, kp, kv)
    for joint in _FINGER_JOINTS:
        add_servo(spec, joint, *_FINGER_SERVO[:2], limits=(-_SQUEEZE, _SLIDE_OPEN))


# On the far side of the hand as seen from the base, looking past the finger tips.
_CAMERA_POS: Vec3 = (0.08, 0.0, 0.04)
_CAMERA_QUAT: Quat = camera_quat(_CAMERA_POS, (0.01, 0.0, 0.17), up=(1.0, 0.0, 0.0))

PANDA = register(
    Robot(
        name="panda",
        add_to_spec=_add_to_spec,
        arm_joints=_ARM_JOINTS,
        finger_joints=_FINGER_JOINTS,
        arm_home=(0.0, 0.03997, 0.0, -2.4162, 0.0, 2.45617, math.pi / 4),
        tcp_body="hand",
        tcp_pos=(0.0, 0.0, _TCP_Z),
        # x along the hand's z, y against the hand's y: with the hand pointing down over the table
        # and its x away from the base, the tool's y is the world's.
        tcp_quat=(0.0, math.sqrt(0.5), 0.0, math.sqrt(0.5)),
        action_scale=(0.05, 0.25),
        gripper_open=(_SLIDE_OPEN, _SLIDE_OPEN),
        gripper_closed=(-_SQUEEZE, -_SQUEEZE),
        finger_gap=(-2 * _SQUEEZE, 2 * _SLIDE_OPEN),
        workspace_low=(0.10, -0.28, 0.01),
        workspace_high=(0.42, 0.28, 0.30),
        wrist_camera=WristCamera("hand", _CAMERA_POS, _CAMERA_QUAT, math.radians(75.0)),
        fixed_camera=FixedCamera((0.72, 0.0, 0.46), (0.23, 0.0, 0.08), math.radians(42.0)),
        posture_weight=2e-5,
    )
)
