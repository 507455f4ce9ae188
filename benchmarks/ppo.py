"""Control steps per second of training, at the demo's size: `python -m benchmarks.ppo [--json]`.

One PPO iteration (rollout with policy and cameras, advantages, epochs of minibatches) as the demo
runs it. Field `split` holds the seconds that its parts take when each is compiled and run alone,
`bound` the seconds that they would take at best: physics as bare `mujoco.batch` needs, pictures if
every ray met every geom (see `benchmarks.render`), policy and update by their arithmetic alone, all
at this machine's best rate of float32 matrix products; of_bound is their ratio.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import vla_jax as vj
from benchmarks import common, physics
from sim.env import Env
from sim.scene_batch import SceneBatch
from vla_jax.api import build_batch, build_env
from vla_jax.demo import TRAIN_SENTENCES, DemoConfig
from vla_jax.models.agent import init_params, make_agent
from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.iteration import TrainState, init_train_state, make_iteration
from vla_jax.rl.ppo import PPOConfig, policy_loss
from vla_jax.rl.rollout import collect
from vla_jax.rl.update import minibatch, update
from vla_jax.tokenizers import WordTokenizer


@dataclasses.dataclass(frozen=True)
class World:
    """All that an iteration works on."""

    env: Env
    batch: SceneBatch
    agent: Agent
    params: Params
    ppo: PPOConfig
    length: int
    focus: float

    @property
    def control_steps(self) -> int:
        """Of an iteration."""
        return self.env.num_envs * self.length * self.env.config.chunk


def make_world(quick: bool, seed: int = 0) -> World:
    """The demo's training set-up with fresh parameters; small if `quick`."""
    config = DemoConfig()
    num_envs, length, num_scenes = config.train.num_envs, config.train.length, config.train_scenes
    if quick:
        num_envs, length, num_scenes = 12, 3, 4
    scenes = vj.design(list(TRAIN_SENTENCES), n=num_scenes, seed=seed, split="train")
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    policy = dataclasses.replace(config.policy, vocabulary=tokenizer.size)
    settings = dataclasses.replace(
        config.env,
        randomization=config.wide,
        image_size=policy.image_size,
        wrist_size=policy.wrist_size,
    )
    return World(
        env=build_env(num_envs, settings),
        batch=build_batch(scenes, tokenizer),
        agent=make_agent(policy),
        params=init_params(policy, seed),
        ppo=config.train.ppo,
        length=length,
        focus=config.train.focus,
    )


def whole(world: World) -> tuple[Callable[[], Any], float]:
    """A call that runs the next iteration, and the iteration's compile time (s)."""
    iterate = make_iteration(world.env, world.agent, world.ppo, world.length, world.focus)
    state: TrainState = init_train_state(world.params, world.env, world.batch, world.ppo, 0)
    program, compile_s = common.compiled(iterate, state, world.batch)

    def call() -> Any:
        nonlocal state
        state, metrics, _ = program(state, world.batch)
        return metrics

    return call, compile_s


def parts(world: World) -> dict[str, Callable[[], Any]]:
    """Calls that do one part each of an iteration's work: physics, render, policy, update.

    "physics" is the environment without its pictures: engine, inverse kinematics, task and resets.
    """
    env, batch, agent, params = world.env, world.batch, world.agent, world.params
    start = init_train_state(params, env, batch, world.ppo, 0)
    keys = jax.random.split(jax.random.key(1), world.length)
    shape = (world.length, env.num_envs, env.config.chunk, 7)
    actions = jax.random.uniform(jax.random.key(2), shape, minval=-1.0, maxval=1.0)
    privileged = env.privileged(batch, start.env)

    def engine(batch: SceneBatch, state: Any, actions: jax.Array) -> Any:
        def step(state: Any, chunk: jax.Array) -> tuple[Any, Any]:
            state, out = env.step_chunk(batch, state, chunk)
            return state, (out.reward, out.info["privileged"])  # the pictures are left out

        return jax.lax.scan(step, state, actions)

    def pictures(batch: SceneBatch, state: Any, shifts: jax.Array) -> Any:
        def look(_: None, shift: jax.Array) -> tuple[None, Any]:
            # Another camera position each time, so that no picture is taken only once.
            obs = env.observe(batch, _moved(state, shift))
            return None, (obs.image, obs.wrist)

        return jax.lax.scan(look, None, shifts)[1]

    def policy(params: Any, obs: Any, privileged: jax.Array, keys: jax.Array) -> Any:
        def act(shift: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
            seen = dataclasses.replace(obs, proprio=obs.proprio + shift)
            chain, log_prob = agent.sample(params, seen, key)
            value = agent.value(params, privileged + shift)
            after = agent.value(params, privileged - shift)
            # The next observation hangs on this action, as in a rollout.
            return 1e-3 * chain.x.mean(), (log_prob, value, after)

        return jax.lax.scan(act, jnp.float32(0.0), keys)

    rollout = jax.eval_shape(
        lambda: collect(
            params, agent, env, batch, start.env, start.obs, keys[0], world.length, world.ppo
        )[2]
    )
    data = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), rollout)

    def learn(params: Any, opt_state: Any, data: Any, key: jax.Array) -> Any:
        return update(params, opt_state, agent, data, key, world.ppo, jnp.bool_(True))

    shifts = 0.01 * jax.random.normal(keys[0], (world.length, 3))
    work: dict[str, tuple[Callable, tuple]] = {
        "physics": (engine, (batch, start.env, actions)),
        "render": (pictures, (batch, start.env, shifts)),
        "policy": (policy, (params, start.obs, privileged, keys)),
        "update": (learn, (params, start.opt_state, data, keys[0])),
    }
    programs = {name: common.compiled(f, *args)[0] for name, (f, args) in work.items()}
    return {
        name: lambda name=name, args=args: programs[name](*args) for name, (_, args) in work.items()
    }


def bounds(world: World) -> dict[str, float]:
    """Seconds that each part of an iteration would take at best; physics only on a CPU."""
    env, batch, agent, params = world.env, world.batch, world.agent, world.params
    peak, views = common.peak_flops(), world.length * env.num_envs
    start = init_train_state(params, env, batch, world.ppo, 0)
    key = jax.random.key(0)

    def data() -> Any:
        rows = jnp.zeros((world.length // world.ppo.minibatches, env.num_envs), jnp.int32)
        roll = (params, agent, env, batch, start.env, start.obs, key, world.length, world.ppo)
        return minibatch(collect(*roll)[2], rows)

    def gradient(actor: Any, batch: Any) -> Any:
        loss = lambda actor: policy_loss(params._replace(actor=actor), agent, batch, world.ppo)  # noqa: E731
        return jax.grad(loss, has_aux=True)(actor)[0]

    acting = _flops(agent.sample, params, start.obs, key) * world.length
    learning = _flops(gradient, params.actor, jax.eval_shape(data))
    geoms = batch.geom_visible.shape[-1]
    pixels = env.config.image_size**2 + env.config.wrist_size**2
    found = {
        "render": views * pixels * (100 * geoms + 500) / peak,
        "policy": acting / peak,
        "update": learning * world.ppo.epochs * world.ppo.minibatches / peak,
    }
    if env.physics.name == "native":
        once = physics.seconds([physics.bare(batch, env.num_envs, 0)], 3)[0]
        steps = views * env.config.chunk * env.substeps(batch)
        work = env.num_envs * physics.CONTROL_STEPS * physics.SUBSTEPS
        found["physics"] = once * steps / work
    return {name: round(value, 4) for name, value in found.items()}


def _flops(function: Callable, *arguments: Any) -> float:
    """Arithmetic of a function without loops, by XLA's own count."""
    analysis = jax.jit(function).lower(*arguments).cost_analysis()
    return float(analysis["flops"]) if analysis else 0.0


def _moved(state: Any, shift: jax.Array) -> Any:
    """The state with its fixed cameras moved by f32[3], m."""
    episode = dataclasses.replace(state.episode, camera=state.episode.camera + shift)
    return dataclasses.replace(state, episode=episode)


def rows(quick: bool = False) -> list[common.Row]:
    """Row `ppo`."""
    world = make_world(quick)
    runs = common.QUICK_RUNS if quick else common.RUNS
    call, compile_s = whole(world)
    alone = parts(world)
    timing, *others = common.measure_all([call, *alone.values()], runs)
    split = {name: round(t.median, 4) for name, t in zip(alone, others, strict=True)}
    best = bounds(world)
    return [
        common.make_row(
            "ppo",
            "control steps/s",
            world.control_steps,
            timing,
            compile_s=compile_s,
            num_envs=world.env.num_envs,
            iteration_s=round(timing.median, 4),
            split=split,
            bound=best,
            of_bound={name: round(best[name] / split[name], 3) for name in best},
            chunks=world.length,
            num_scenes=world.batch.num_scenes,
            image_size=world.env.config.image_size,
            wrist_size=world.env.config.wrist_size,
            parameters=sum(x.size for x in jax.tree.leaves(world.params)),
        )
    ]


if __name__ == "__main__":
    common.main("ppo", rows, (__doc__ or "").splitlines()[0])
