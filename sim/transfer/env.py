"""The transfer domain as an environment on the host: physics in threads, pictures by OpenGL."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from generation.spec import SceneSpec
from sim.env import Env, EnvConfig
from sim.episode import Episode, draw_episode
from sim.expert import expert_action
from sim.image_blur import add_blur
from sim.image_jpeg import add_jpeg
from sim.physics.native import NativePhysics
from sim.rig import make_rig
from sim.robots.base import get_robot
from sim.robots.kinematics import body_poses
from sim.scene_batch import SceneBatch
from sim.state import EnvState
from sim.transfer.config import USUAL, TransferConfig
from sim.transfer.gaps import widen
from sim.transfer.lamps import lamps_of
from sim.transfer.looks import look_model
from sim.transfer.opengl import Painter, Shot
from sim.transfer.physics import transfer_batch
from sim.transfer.sensor import expose
from sim.types import Observation
from sim.view import camera_of, light_of, proprioception, seen_qpos


@dataclass(frozen=True)
class Played:
    """What became of N episodes in a chunk; host arrays of length N."""

    success: np.ndarray  # bool: the goal was reached in this chunk
    over: np.ndarray  # bool: success, time is up, or the target or the physics is lost
    broken: np.ndarray  # bool: NaN in the physics
    length: np.ndarray  # i32 control steps so far


class TransferEnv:
    """N environments over S scenes in the transfer domain, with `Env`'s task, actions and starts.

    States are passed in and out as in `Env`; the object itself only holds the scenes and OpenGL's
    resources, which are made when the first picture is drawn. Nothing is reset automatically.

    Args:
        config: settings of the training domain: control rate, task, picture sizes, randomization.
        batch: S scenes, built for the native engine.
        scenes: the same scenes.
        gaps: how far to go from the training domain.

    Raises:
        ValueError: the control period is no multiple of the physics step; or, when it first draws,
            MuJoCo cannot draw here.
    """

    def __init__(
        self,
        config: EnvConfig,
        batch: SceneBatch,
        scenes: Sequence[SceneSpec],
        gaps: TransferConfig = USUAL,
    ) -> None:
        # The number of environments is that of the states, here as everywhere but in `Env.reset`.
        self.env = Env(config, make_rig(get_robot(batch.robot)), NativePhysics(), 1)
        self.gaps, self.scenes = gaps, list(scenes)
        self.batch = transfer_batch(batch, scenes, gaps)
        self.env.substeps(self.batch)
        self._painter: Painter | None = None

    def __enter__(self) -> TransferEnv:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees OpenGL's resources."""
        if self._painter is not None:
            self._painter.close()
            self._painter = None

    def draw(self, keys: jax.Array, scene: jax.Array) -> Episode:
        """The episodes that the training domain draws for keys[N] and scenes i32[N], with gaps."""
        return _drawer(self.env, self.gaps)(self.batch, keys, jnp.asarray(scene))

    def reset_to(self, key: jax.Array, scene: jax.Array) -> tuple[EnvState, Observation]:
        """Start N episodes in scenes i32[N], as `Env.reset_to` does with that key, with gaps."""
        state = self.start(key, scene)
        return state, self.observe(state)

    def start(self, key: jax.Array, scene: jax.Array) -> EnvState:
        """`reset_to` without a look."""
        return self.begin(self.draw(jax.random.split(key, len(scene)), scene))

    def begin(self, episode: Episode) -> EnvState:
        """The state at the start of episodes; see `draw`."""
        return _programs(self.env)["begin"](self.batch, episode)

    def step_chunk(self, state: EnvState, actions: jax.Array) -> tuple[EnvState, Played]:
        """Execute a chunk of actions f32[N, C, 7]; see `Env.step` for their meaning."""
        state, *facts = _programs(self.env)["follow"](self.batch, state, actions)
        return state, Played(*(np.asarray(x) for x in facts))

    def expert_chunk(self, state: EnvState) -> tuple[EnvState, Played]:
        """A chunk of the scripted expert, which sees everything as it is and acts every step."""
        state, *facts = _programs(self.env)["expert"](self.batch, state)
        return state, Played(*(np.asarray(x) for x in facts))

    def observe(self, state: EnvState, wanted: np.ndarray | None = None) -> Observation:
        """What the policy sees: same kinds and sizes as in the training domain.

        Args:
            state: N environments.
            wanted: bool[N]; the others' pictures are black, which saves time.
        """
        seen = _programs(self.env)["see"](self.batch, state)
        fixed, wrist = self._pictures(state, seen, wanted)
        return Observation(
            image=jnp.asarray(fixed),
            wrist=jnp.asarray(wrist),
            proprio=seen["proprio"],
            instruction=seen["instruction"],
        )

    def _pictures(
        self, state: EnvState, seen: dict[str, Any], wanted: np.ndarray | None
    ) -> list[np.ndarray]:
        host = jax.device_get({k: seen[k] for k in ("qpos", "cameras")})
        key_data, scene = np.asarray(state.episode.key), np.asarray(state.scene)
        sides = self.env.config.image_size, self.env.config.wrist_size
        images = [np.zeros((len(scene), side, side, 3), np.uint8) for side in sides]
        lamps = lamps_of(seen["light"], key_data, self.gaps)
        rows = np.arange(len(scene)) if wanted is None else np.flatnonzero(wanted)
        if not len(rows):
            return images
        if self._painter is None:
            self._painter = Painter(self._look, max(sides))
        for i in rows[self._painter.order(scene[rows].tolist())].tolist():
            shots = [
                Shot(pos[i], mat[i], float(fovy[i]), side)
                for (pos, mat, fovy), side in zip(host["cameras"], sides, strict=True)
            ]
            own = host["qpos"][i]
            drawn = self._painter.draw(int(scene[i]), own, lamps[i], self.gaps.haze, shots)
            for image, picture in zip(images, drawn, strict=True):
                image[i] = picture
        if (blur := state.episode.blur) is not None:  # training's own
            images = [np.array(add_blur(jnp.asarray(image), blur)) for image in images]
        noise = float(np.hypot(self.gaps.noise, self.env.config.randomization.image_noise))
        for camera, image in enumerate(images):
            part = (key_data[rows], np.asarray(state.time)[rows], camera, self.gaps, noise)
            image[rows] = expose(image[rows], *part)
        if (quality := state.episode.jpeg) is not None:
            images = [np.array(add_jpeg(jnp.asarray(image), quality)) for image in images]
        return images

    def _look(self, scene: int) -> Any:
        robot = self.env.rig.robot
        return look_model(self.scenes[scene], self.batch.template, robot, self.gaps)


@functools.lru_cache(maxsize=8)
def _drawer(env: Env, gaps: TransferConfig) -> Callable[..., Episode]:
    def draw(batch: SceneBatch, keys: jax.Array, scene: jax.Array) -> Episode:
        usual = draw_episode(env.rig, batch, env.config.randomization, keys, scene)
        return widen(usual, gaps, batch.num_objects, env.config.control_hz)

    return jax.jit(draw)


@functools.lru_cache(maxsize=8)
def _programs(env: Env) -> dict[str, Callable]:
    """Compiled once for all scenes of one structure."""

    def follow(batch: SceneBatch, state: EnvState, actions: jax.Array) -> tuple:
        act = lambda state, step: (actions[:, step], None)  # noqa: E731
        return _advance(env, batch, state, act, actions.shape[1])

    def expert(batch: SceneBatch, state: EnvState) -> tuple:
        def act(state: EnvState, step: jax.Array) -> tuple[jax.Array, None]:
            view, turn = env.view(batch, state), env.tool_yaw(state)
            return expert_action(view, env.rig.robot, turn), None

        return _advance(env, batch, state, act, env.config.chunk)

    def see(batch: SceneBatch, state: EnvState) -> dict[str, Any]:
        qpos = seen_qpos(env.rig, state, env.config.control_hz)
        xpos, xmat = body_poses(batch.tree, qpos)
        n = qpos.shape[0]
        cameras = []
        for wrist in (False, True):
            pos, mat, fovy = camera_of(env.rig, state.episode, xpos, xmat, wrist=wrist)
            cameras.append((pos, mat, jnp.broadcast_to(jnp.asarray(fovy), (n,))))
        return {
            "qpos": qpos,
            "cameras": cameras,
            "light": light_of(state.episode),
            "proprio": proprioception(env.rig, qpos, state.closing, env.tool_yaw(state)),
            "instruction": batch.instruction[state.scene, state.phrase],
        }

    programs = {"begin": env.begin, "follow": follow, "expert": expert, "see": see}
    return {name: jax.jit(program) for name, program in programs.items()}


def _advance(env: Env, batch: SceneBatch, state: EnvState, act: Callable, steps: int) -> tuple:
    state, outcome, _ = env.advance(batch, state, act, steps)
    success, terminated, truncated = env.verdict(state, outcome)
    return state, success, terminated | truncated, ~state.physics.finite, state.time
