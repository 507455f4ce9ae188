"""Goals as predicates: one definition with generation, sound starts, and an expert for each."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from goal_scenes import block, board, box, goal_scenes, scene, thing, tray
from scipy.spatial import ConvexHull

import vla_jax as vj
from generation import Part
from generation.compile import SPECK, build_spec, compile_scene, slot_template
from generation.placing.footprint import Footprint, gap, standing
from generation.placing.relations import relation_holds
from generation.rooms import STYLES, panorama
from generation.spec import SUPPORTS, Background, Room
from sim import goals, task
from sim.expert import expert_action
from sim.randomize import Randomization
from sim.rearrange import Things, shift_objects
from sim.recording import scene_mjcf
from sim.render import Camera, Light, default_backdrop, render
from sim.rig import make_rig
from sim.robots import get_robot
from sim.robots.kinematics import body_poses, quat_to_mat
from sim.scene_batch import build_scene_batch
from sim.scene_looks import choose_panoramas, hull_planes
from sim.scene_objects import groups_of
from sim.view import geoms_of

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = goals.RELATIONS
shift = jax.jit(shift_objects, static_argnums=2)
related = jax.jit(goals.related, static_argnames="near")
EACH = 3  # episodes of every scene


def moved(spec: Any, xy: Any, yaw: float):
    quat = (float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2)))
    return spec.model_copy(update={"pos": (float(xy[0]), float(xy[1]), 0.0), "quat": quat})


# Predicates ---------------------------------------------------------------------------------------


def outline(things: list) -> tuple[goals.Footprint, jax.Array]:
    """What the simulator makes of objects where they stand."""
    prints = [Footprint.of(t) for t in things]
    low = jnp.array([[*p.low, 0.0] for p in prints])
    high = jnp.array([[*p.high, t.height] for p, t in zip(prints, things, strict=True)])
    mat = jax.jit(quat_to_mat)(jnp.array([t.quat for t in things]))
    radius = jnp.array([t.radius for t in things])
    return jax.jit(goals.footprint)(mat, low, high, radius), jnp.array([t.pos[:2] for t in things])


def test_relations_are_those_of_generation():
    rng = np.random.default_rng(0)
    bar = thing("bar", "target", (box((0.05, 0.012, 0.01), 0.01),), (0.0, 0.0, 0.0, 0.0))
    brick = block("brick", "receptacle", 0.0, 0.0, 0.0, 0.0, half=0.025)
    pairs = [
        (moved(bar, rng.uniform(-0.12, 0.12, 2), a), moved(brick, (0.0, 0.0), b))
        for a, b in rng.uniform(-3.0, 3.0, (200, 2))
    ]
    first, second = (outline([pair[k] for pair in pairs]) for k in (0, 1))
    ours = jax.jit(goals.gap)(*first, *second)
    theirs = [gap(*standing(a), *standing(b)) for a, b in pairs]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    apart = np.array(theirs) > 0.0  # generation refuses what may overlap
    for goal, name in enumerate(NAMES):
        held = np.asarray(related(jnp.full(200, goal), *first, *second))
        if name in SUPPORTS:
            assert not held.any()
            continue
        expected = np.array([relation_holds(name, a, b) for a, b in pairs])
        assert 10 < expected[apart].sum() < apart.sum()
        np.testing.assert_array_equal(held[apart], expected[apart])


def test_a_side_ends_somewhere():
    """Half a metre to the left is no longer "left of", unless one asks for any distance."""
    cube = block("cube", "target", 0.0, 0.0, 0.0, 0.0)
    a = outline([moved(cube, (0.3, y), 0.0) for y in (0.2, 0.5)])
    b = outline([moved(cube, (0.3, 0.0), 0.0)] * 2)
    left = jnp.full(2, NAMES.index("left of"))
    assert related(left, *a, *b).tolist() == [True, False]
    assert related(left, *a, *b, near=np.inf).tolist() == [True, True]


def test_a_toppled_thing_covers_what_it_lies_on():
    bar = thing("bar", "target", (box((0.01, 0.01, 0.05), 0.05),), (0.0, 0.0, 0.0, 0.0))
    fallen = bar.model_copy(update={"quat": (0.5**0.5, 0.0, 0.5**0.5, 0.0)})  # z axis along +x
    shape, _ = outline([bar, fallen])
    np.testing.assert_allclose(shape.half, [[0.01, 0.01], [0.01, 0.05]], atol=1e-6)
    np.testing.assert_allclose(shape.centre, [[0.0, 0.0], [0.05, 0.0]], atol=1e-6)


@pytest.mark.parametrize("goal", [*range(len(NAMES))])
def test_success_follows_from_the_goal(goal):
    """On and in: the paper's predicate. Beside: on the table, related, and let go."""
    rows = jnp.array([[bool(i >> b & 1) for b in range(6)] for i in range(64)])
    view: Any = SimpleNamespace(
        contacts=rows[:, :5], related=rows[:, 5], goal=jnp.full(64, goal, jnp.int32)
    )
    carried = NAMES[goal] in SUPPORTS
    expected = [
        bool((r[0] and not r[1] if carried else r[1] and r[5]) and not r[2])
        for r in np.asarray(rows)
    ]
    assert jax.jit(lambda: task.is_success(view))().tolist() == expected


# Starts -------------------------------------------------------------------------------------------


def stacked_scene():
    return scene(
        "on",
        block("die", "target", 0.22, -0.15, 0.008, 0.0),
        board("receptacle", 0.3, 0.12, 0.0, 0.0),
        tray("distractor", 0.24, -0.15, 0.0, 0.0),
        block("cube", "distractor", 0.3, 0.22, 0.0, 0.0),
        edges=(("die", "in", "tray"), ("cube", "next to", "board")),
    )


def test_groups_follow_from_the_relations():
    groups = groups_of(stacked_scene(), 5)
    assert groups.carrier.tolist() == [2, 1, 2, 3, 4]
    assert groups.leader.tolist() == [2, 1, 2, 1, 4]
    assert groups.turns.tolist() == [True, False, True, False, True]


def test_what_is_carried_moves_with_its_carrier():
    spec, n = stacked_scene(), 64
    groups = groups_of(spec, 4)
    own = np.array([o.pos for o in spec.objects])
    rows = lambda x: jnp.tile(jnp.asarray(x)[None], (n, *[1] * np.ndim(x)))  # noqa: E731
    things = Things(
        position=rows(own),
        radius=rows([o.radius for o in spec.objects]),
        active=jnp.ones((n, 4), bool),
        **{name: rows(getattr(groups, name)) for name in ("carrier", "leader", "turns")},
    )
    at, yaw = shift(jax.random.key(0), things, Randomization(object_xy=0.1))
    moved_by = np.asarray(at[:, :, :2]) - own[:, :2]
    np.testing.assert_allclose(moved_by[:, 3], moved_by[:, 1], atol=1e-6)  # side by side
    offset, angle = np.asarray(at[:, 0, :2] - at[:, 2, :2]), np.asarray(yaw[:, 2])
    np.testing.assert_allclose(
        offset, -0.02 * np.stack([np.cos(angle), np.sin(angle)], 1), atol=1e-6
    )
    assert (np.asarray(yaw[:, 0]) == angle).all() and not np.asarray(yaw[:, [1, 3]]).any()
    assert np.std(moved_by[:, 2, 0]) > 0.01 and np.std(angle) > 1.0


def test_a_start_without_room_stays_as_it_is():
    """Two things whose circles overlap do not turn where no other place is found."""
    position = jnp.array([[[0.3, 0.0, 0.0], [0.3, 0.05, 0.0], [0.2, -0.2, 0.0]]])
    radius, active = jnp.array([[0.05, 0.05, 0.02]]), jnp.ones((1, 3), bool)
    here = Randomization(object_xy=0.0)
    at, yaw = shift(jax.random.key(0), Things.alone(position, radius, active), here)
    np.testing.assert_array_equal(at, position)
    assert not yaw[0, :2].any() and yaw[0, 2] != 0.0


# Episodes -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played():
    """The expert in three episodes of every goal: scenes, starts, and what became of them."""
    scenes = goal_scenes()
    n = EACH * len(scenes)
    env, batch = vj.make_env(
        scenes, num_envs=n, backend="native", reward="shaped", image_size=8, wrist_size=8
    )

    @jax.jit
    def play(batch, keys):
        start = env.start(batch, keys, jnp.arange(n) % batch.num_scenes)

        def act(state, _):
            view = env.view(batch, state)
            facts = (view.place, task.is_success(view), state.potential)
            return expert_action(view, env.rig.robot, env.tool_yaw(state)), facts

        end, out, records = env.advance(batch, start, act, 70)
        labels = env.located(batch, start), env.privileged(batch, start)
        return start, end, out, records, labels

    return scenes, env, batch, *play(batch, jax.random.split(jax.random.key(0), n))


def objects_at(spec, qpos: np.ndarray) -> list:
    """The scene's objects at the simulator's poses."""
    poses = np.asarray(qpos, float)[-7 * 3 :].reshape(3, 7)
    return [
        o.model_copy(update={"pos": tuple(p[:3].tolist()), "quat": tuple(p[3:].tolist())})
        for o, p in zip(spec.objects, poses, strict=False)
    ]


def test_the_expert_reaches_every_goal(played):
    scenes, _, _, _, end, out, *_ = played
    solved = np.asarray(out.success).reshape(EACH, -1)
    assert solved.mean() > 0.9, dict(zip(NAMES, solved.mean(0), strict=True))
    assert (solved.sum(0) >= 2).all(), dict(zip(NAMES, solved.sum(0), strict=True))
    for i in np.flatnonzero(out.success):
        spec = scenes[i % len(scenes)]
        target, other = objects_at(spec, end.physics.qpos[i])[:2]
        assert relation_holds(spec.graph.goal.relation, target, other), spec.graph.goal


def test_starts_are_sound(played):
    """No goal holds at a start, supports do, and the place for the target is free and near."""
    scenes, env, _, start, _, _, (place, success, _), _ = played
    assert not np.asarray(success[0]).any()
    for i, qpos in enumerate(np.asarray(start.physics.qpos)):
        spec = scenes[i % len(scenes)]
        things = objects_at(spec, qpos)
        assert not relation_holds(spec.graph.goal.relation, *things[:2])
        if len(spec.graph.relations):
            assert relation_holds("in", things[0], things[2])
            assert np.hypot(*np.subtract(things[0].pos, things[2].pos)[:2]) < 1e-3
        if spec.task.relation not in SUPPORTS:
            put = moved(things[0], tuple(np.asarray(place[0, i, :2]).tolist()), 0.0)
            put = put.model_copy(update={"quat": things[0].quat})
            assert relation_holds(spec.task.relation, put, things[1])
            assert all(gap(*standing(put), *standing(o)) > 0.005 for o in things[1:])
            assert env.rig.robot.workspace_low[0] < put.pos[0] < env.rig.robot.workspace_high[0]


def test_progress_is_paid_for_every_goal(played):
    *_, out, (_, _, potential), _ = played
    first, best = np.asarray(potential[0]), np.asarray(potential).max(0)
    reward, solved = np.asarray(out.reward), np.asarray(out.success)
    assert (best[solved] > 0.5).all() and first.max() < 0.25
    assert (reward[solved] > 1.7).all()


def test_privileged_and_located_know_the_place(played):
    scenes, *_, (place, _, _), (located, privileged) = played
    assert privileged.shape == (EACH * len(scenes), task.PRIVILEGED_SIZE)
    np.testing.assert_allclose(located[:, 3:6], 10.0 * place[0], atol=1e-5)
    beside = [s.task.relation not in SUPPORTS for s in scenes] * EACH
    assert not np.asarray(place)[0, beside, 2].any()


@pytest.mark.slow
def test_goals_beside_things_on_mjx():
    """Contacts and predicate of the other engine: put down beside the brick, success at once."""
    spec = goal_scenes()[4]
    env, batch = vj.make_env([spec], num_envs=2, backend="mjx", randomization=Randomization.none())
    state = env.start(batch, jax.random.split(jax.random.key(0), 2))
    at = jnp.array([[0.28, 0.13], [0.28, -0.01]])
    qpos = state.physics.qpos.at[:, 8:10].set(at)
    state = replace(state, physics=replace(state.physics, qpos=qpos))
    still = jnp.zeros((2, 7)).at[:, 6].set(1.0)
    out = jax.jit(lambda s: env.advance(batch, s, lambda s, _: (still, None), 2))(state)[1]
    assert out.success.tolist() == [True, False]


# Convex parts -------------------------------------------------------------------------------------


def hull_scene(seed: int = 0):
    """A die that is drawn as a hull of sixteen points, and the scene without."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(16, 3))
    points = np.round(0.04 * points / np.linalg.norm(points, axis=1, keepdims=True), 5)
    half = tuple((np.abs(points).max(0) + 1e-5).tolist())
    hull = Part(
        shape="convex",
        size=half,
        vertices=tuple(map(tuple, points.tolist())),
        pos=(0.01, 0.0, 0.05),
        quat=(0.8, 0.0, 0.6, 0.0),
        collide=False,
        rgba=(1.0, 0.0, 0.0, 1.0),
    )
    plain = goal_scenes()[4]
    die = plain.objects[0]
    body = die.parts[0].model_copy(update={"visible": False})
    drawn = die.model_copy(update={"parts": (body, hull)})
    return points, plain.model_copy(update={"objects": (drawn, *plain.objects[1:])}), plain


def test_planes_contain_the_hull():
    rng = np.random.default_rng(1)
    for count in (8, 64):
        points = rng.normal(size=(count, 3)) * [0.03, 0.02, 0.01]
        planes = hull_planes(points)
        assert len(planes) <= 32 and (points @ planes[:, :3].T <= planes[:, 3] + 1e-12).all()
        exact = ConvexHull(points).equations
        x = rng.uniform(-0.08, 0.08, (20_000, 3))
        inside = (x @ planes[:, :3].T <= planes[:, 3]).all(1)
        truly = (x @ exact[:, :3].T <= -exact[:, 3]).all(1)
        assert (inside | ~truly).all() and inside.sum() <= 1.3 * truly.sum() + 2
    cube = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    assert len(hull_planes(cube)) == 6


def test_a_hull_is_drawn_where_it_is():
    """Depth and outline of a hull in a scene against rays in float64; the other scene has none."""
    points, spec, plain = hull_scene()
    robot = get_robot("widowx")
    batch = build_scene_batch([spec, plain], robot, np.ones((2, 1, 1), np.int32))
    planes = np.asarray(batch.geom_planes)
    assert planes.shape[:2] == (2, 1) and not planes[1].any()
    geom = batch.geom_types.index("convex")
    assert np.asarray(batch.geom_visible)[:, geom].tolist() == [True, False]

    camera = make_rig(robot).fixed_camera(jnp.zeros((2, 3)))
    light = Light(jnp.tile(jnp.array([0.0, 0.0, -1.0]), (2, 1)), jnp.ones((2, 3)), jnp.ones((2, 3)))

    @jax.jit
    def look(batch):
        xpos, xmat = body_poses(batch.tree, batch.qpos0)
        geoms = geoms_of(batch, jnp.arange(2), xpos, xmat)
        seen = Camera(*camera, jnp.full(2, robot.fixed_camera.fovy))
        image = render(geoms, seen, light, default_backdrop(2), height=64, width=64, shadows=False)
        return image.segmentation, image.depth, xpos, xmat

    segmentation, depth, xpos, xmat = (np.asarray(x, float) for x in look(batch))
    seen = segmentation[0] == geom
    assert seen.sum() > 30 and not (segmentation[1] == geom).any()
    position, axes = (np.asarray(x[0], float) for x in camera)
    part, body = spec.objects[0].parts[1], batch.object_bodies[0]
    local = np.asarray(quat_to_mat(jnp.array(part.quat)), float)
    turn = xmat[0, body] @ local
    centre = xpos[0, body] + xmat[0, body] @ np.array(part.pos)
    faces = ConvexHull(points).equations
    pixel = (np.arange(64) + 0.5) / 32.0 - 1.0
    u, v = np.meshgrid(pixel, -pixel)
    tan = np.tan(0.5 * robot.fixed_camera.fovy)
    ray = np.stack([u * tan, v * tan, -np.ones_like(u)], -1) @ axes.T  # unit depth
    start, ray = (position - centre) @ turn, ray @ turn
    along, ahead = ray @ faces[:, :3].T, -(start @ faces[:, :3].T + faces[:, 3])
    far = np.where(along > 0.0, ahead / along, np.inf).min(-1)
    near = np.where(along < 0.0, ahead / along, -np.inf).max(-1)
    expected = near < far
    assert (expected != seen).sum() <= 2  # rays along an edge
    both = expected & seen
    np.testing.assert_allclose(depth[0][both], near[both], atol=1e-4)


def test_hulls_in_models():
    """Simulated scenes have boxes in their place that touch nothing; recordings have the mesh."""
    points, spec, plain = hull_scene()
    template = slot_template([spec, plain])
    model = compile_scene(spec, template)
    name = f"object0_geom{template.slots[0].index(('convex', False))}"
    assert model.nmesh == 0 and model.geom(name).contype == 0 and model.geom(name).rgba[3] == 0.0
    filler = compile_scene(plain, template).geom(name)
    assert filler.size[0] == SPECK and filler.margin < -0.5
    xml = scene_mjcf(spec, get_robot("widowx"), template=template)
    seen = mujoco.MjModel.from_xml_string(xml)
    assert seen.nmesh == 1 and seen.mesh_vertnum[0] == len(points)
    assert seen.geom(name).rgba.tolist() == [1.0, 0.0, 0.0, 1.0] and seen.geom(name).contype == 0
    data = mujoco.MjData(seen)
    mujoco.mj_kinematics(seen, data)
    die, part = spec.objects[0], spec.objects[0].parts[1]
    rotation = [np.asarray(quat_to_mat(jnp.array(q)), float) for q in (die.quat, part.quat)]
    corners = (points @ rotation[1].T + part.pos) @ rotation[0].T + die.pos
    geom = data.geom(name)
    vertices = seen.mesh_vert @ geom.xmat.reshape(3, 3).T + geom.xpos
    distance = np.linalg.norm(vertices[:, None] - corners[None], axis=-1).min(1)
    assert distance.max() < 1e-5


def test_a_flat_hull_is_refused():
    _, spec, _ = hull_scene()
    die = spec.objects[0]
    square = ((0.01, 0.01, 0.0), (-0.01, 0.01, 0.0), (0.01, -0.01, 0.0), (-0.01, -0.01, 0.0))
    flat = die.parts[1].model_copy(update={"vertices": square})
    drawn = die.model_copy(update={"parts": (die.parts[0], flat)})
    spec = spec.model_copy(update={"objects": (drawn, *spec.objects[1:])})
    with pytest.raises(ValueError, match=f"scene {spec.id}.*in one plane"):
        build_scene_batch([spec], get_robot("widowx"), np.ones((1, 1, 1), np.int32))
    with pytest.raises(ValueError, match="in one plane"):
        build_spec(spec, slot_template([spec]), meshes=True)


# Surroundings -------------------------------------------------------------------------------------


def test_rooms_surround_their_scenes():
    plain = goal_scenes()[4]

    def within(**fields: Any):
        return plain.model_copy(update={"background": Background(**fields)})

    one, two = (Room(style=style) for style in STYLES[:2])
    scenes = [within(room=one), plain, within(room=two), within(room=one)]
    index, pictures = choose_panoramas(scenes, ())
    assert index is not None and index.tolist() == [0, -1, 1, 0] and len(pictures) == 2
    np.testing.assert_array_equal(pictures[1], panorama(scenes[2].background))
    robot, words = get_robot("widowx"), np.ones((4, 1, 1), np.int32)
    batch = build_scene_batch(scenes, robot, words)
    assert batch.backdrop.panorama is not None and batch.atlas.panoramas.shape[0] == 2
    given = np.zeros((4, 8, 3), np.uint8)
    index, pictures = choose_panoramas(scenes, [given])
    assert index is not None and not index.any() and pictures[0] is given
    assert choose_panoramas([plain], ()) == (None, [])
