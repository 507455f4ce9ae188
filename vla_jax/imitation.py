"""Imitation: demonstrations from the scripted expert, and flow-matching pretraining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sim.env import Env, EnvConfig
from sim.expert import expert_action
from sim.robots.kinematics import solve_ik
from sim.scene_batch import SceneBatch
from vla_jax.checkpoint import save_checkpoint, write_json
from vla_jax.models.agent import init_params, make_imitation_loss
from vla_jax.models.config import PolicyConfig
from vla_jax.run import RunConfig
from vla_jax.tokenizers import PAD, UNKNOWN


@dataclass(frozen=True)
class ImitationConfig:
    """Settings of data collection and pretraining."""

    # Action chunks the expert is recorded for, and the noise added to what it does (not to what
    # is recorded), so that the demonstrations show how to recover.
    chunks: int = 12000
    noise: float = 0.15
    # Share of the chunks in which the expert is mistaken about where the target is, and by how far
    # (standard deviation, m). They are not imitated: what follows shows how to mend a failed grasp.
    mistakes: float = 0.3
    mistake_xy: float = 0.03
    # Still pictures of scenes with the arm anywhere: they teach what the words refer to, the part
    # that a large VLA's vision-language pretraining plays.
    stills: int = 24000
    # Demonstrations and stills of one minibatch, and minibatches in all.
    demo_rows: int = 128
    still_rows: int = 128
    steps: int = 1500
    learning_rate: float = 1e-3
    ground_weight: float = 1.0
    # Environments of the recording.
    num_envs: int = 256
    # Rate at which words are hidden, so that an unseen word does not confuse, and at which one
    # (twice) an unknown word is slipped in, so that a longer wording does not either.
    word_dropout: float = 0.15
    word_insertion: float = 0.4


class Demonstrations(NamedTuple):
    """Samples with leading axis [M] on the host."""

    obs: Any
    action: np.ndarray  # f32[M, C, 7]
    located: np.ndarray  # f32[M, 16] see Env.located
    has_action: np.ndarray  # f32[M] 1 where the action is one to imitate


# Share of the jitter that each action dimension gets; the gripper is not shaken.
_JITTER = (1.0, 1.0, 1.0, 0.3, 0.3, 0.3, 0.0)


def make_recorder(env: Env, settings: ImitationConfig) -> Callable:
    """One jitted chunk of the expert in N environments: f(batch, state, obs, key) → state, obs,
    (obs, action, located, has_action), ended bool[N], success bool[N]."""

    def record(batch: SceneBatch, state, obs, key):
        located = env.located(batch, state)
        key, key_wrong, key_shift = jax.random.split(key, 3)
        wrong = jax.random.bernoulli(key_wrong, settings.mistakes, (env.num_envs,))
        shift = settings.mistake_xy * jax.random.normal(key_shift, (env.num_envs, 3))
        shift = shift.at[:, 2].set(0.0) * wrong[:, None]

        def act(state, step):
            view = env.view(batch, state)
            believed = replace(view, grasp=view.grasp + shift)
            clean = expert_action(believed, env.rig.robot, env.tool_yaw(state))
            jitter = jax.random.normal(jax.random.fold_in(key, step), clean.shape)
            return clean + settings.noise * jitter * jnp.asarray(_JITTER), clean

        state, out, clean = env.run_chunk(batch, state, act, env.config.chunk)
        sample = (obs, clean.swapaxes(0, 1), located, 1.0 - wrong)
        return state, out.observation, sample, out.terminated | out.truncated, out.success

    return jax.jit(record)


def collect_demonstrations(
    env: Env,
    batch: SceneBatch,
    seed: int,
    settings: ImitationConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Demonstrations, dict[str, float]]:
    """Record the expert until `settings.chunks` chunks of successful episodes are at hand.

    Args:
        env, batch: where.
        seed: of everything random.
        settings: how many chunks, and how the expert is disturbed.
        progress: called with (chunks so far, chunks wanted).

    Returns:
        the samples, and {"episodes", "expert_success"}.

    Raises:
        RuntimeError: if the expert solves less than one episode in twenty.
    """
    key, chunks = jax.random.key(seed), settings.chunks
    record = make_recorder(env, settings)
    state, obs = jax.jit(env.reset)(batch, key)
    pending: list[Any] = []  # chunks whose episodes have not ended, newest last
    kept: list[Any] = []
    open_rows: np.ndarray = np.zeros((0, env.num_envs), bool)
    episodes = successes = count = 0
    while count < chunks:
        key, k = jax.random.split(key)
        state, obs, sample, done, success = record(batch, state, obs, k)
        pending.append(jax.tree.map(np.asarray, sample))
        done, success = np.asarray(done), np.asarray(success)
        open_rows = np.concatenate([open_rows, np.ones((1, env.num_envs), bool)])
        for t, rows in enumerate(open_rows):
            good = rows & success
            if good.any():
                kept.append(jax.tree.map(lambda x: x[good], pending[t]))  # noqa: B023
                count += int(good.sum())
        open_rows &= ~done
        while len(pending) and not open_rows[0].any():
            pending.pop(0)
            open_rows = open_rows[1:]
        episodes, successes = episodes + int(done.sum()), successes + int(success.sum())
        if episodes > 200 and successes < 0.05 * episodes:
            raise RuntimeError(
                f"the expert solved {successes} of {episodes} episodes: "
                "these scenes are out of its reach; inspect them"
            )
        progress(min(count, chunks), chunks)
    data = Demonstrations(*jax.tree.map(lambda *x: np.concatenate(x)[:chunks], *kept))
    return data, {"episodes": episodes, "expert_success": successes / max(episodes, 1)}


def collect_stills(env: Env, batch: SceneBatch, seed: int, count: int) -> Demonstrations:
    """Pictures of the scenes with the tool at random places, without actions."""
    robot, rig = env.rig.robot, env.rig
    low, high = np.asarray(robot.workspace_low), np.asarray(robot.workspace_high)
    low, high = jnp.asarray(low + [0.06, 0.08, 0.02]), jnp.asarray(high - [0.04, 0.08, 0.08])

    @jax.jit
    def shoot(batch, key):
        key_start, key_tool = jax.random.split(key)
        state = env.start(batch, jax.random.split(key_start, env.num_envs))
        tool = jax.random.uniform(key_tool, (env.num_envs, 3), minval=low, maxval=high)
        joints = solve_ik(rig.chain, state.joints, tool, state.tool_quat, iterations=25)
        qpos = state.physics.qpos.at[:, : rig.num_arm].set(joints)
        state = replace(state, physics=replace(state.physics, qpos=qpos))
        return env.observe(batch, state), env.located(batch, state)

    shots = [
        jax.tree.map(np.asarray, shoot(batch, jax.random.fold_in(jax.random.key(seed), i)))
        for i in range(-(-count // env.num_envs))
    ]
    obs, located = jax.tree.map(lambda *x: np.concatenate(x)[:count], *shots)
    nothing = np.zeros((count, env.config.chunk, 7), np.float32)
    return Demonstrations(obs, nothing, located, np.zeros(count, np.float32))


def make_pretrainer(config: PolicyConfig, settings: ImitationConfig):
    """Adam with a cosine schedule; returns (optimizer, jitted f(params, opt_state, data, key)).

    The function runs `rows` i32[steps, B] of minibatches in one call.
    """
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            optax.warmup_cosine_decay_schedule(
                0.0, settings.learning_rate, settings.steps // 20, settings.steps, 1e-5
            ),
            weight_decay=1e-4,
        ),
    )
    imitation_loss = make_imitation_loss(config)

    def run(params, opt_state, data: Demonstrations, rows: jax.Array, key: jax.Array):
        def step(carry, inputs):
            params, opt_state = carry
            pick, key = inputs
            sample = jax.tree.map(lambda x: x[pick], data)
            key_words, key_loss = jax.random.split(key)
            words = vary_words(sample.obs.instruction, key_words, settings)
            obs = replace(sample.obs, instruction=words)

            def loss(params):
                flow, ground, error = imitation_loss(
                    params, obs, sample.action, sample.located, sample.has_action, key_loss
                )
                return flow + settings.ground_weight * ground, (flow, error)

            grads, parts = jax.grad(loss, has_aux=True)(params)
            changes, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, changes), opt_state), jnp.stack(parts)

        keys = jax.random.split(key, rows.shape[0])
        (params, opt_state), parts = jax.lax.scan(step, (params, opt_state), (rows, keys))
        return params, opt_state, parts.mean(0)

    return optimizer, jax.jit(run, donate_argnums=(0, 1))


def vary_words(words: jax.Array, key: jax.Array, settings: ImitationConfig) -> jax.Array:
    """Hide words and slip in unknown ones at random: i32[B, L] → i32[B, L]."""
    key_hide, *keys = jax.random.split(key, 3)
    hidden = jax.random.bernoulli(key_hide, settings.word_dropout, words.shape) & (words > PAD)
    words = jnp.where(hidden, UNKNOWN, words)
    for k in keys:
        key_rate, key_place = jax.random.split(k)
        wanted = jax.random.bernoulli(key_rate, settings.word_insertion, words.shape[:1])
        # Only where there is room, and within the phrase.
        wanted &= words[:, -1] == PAD
        length = (words > PAD).sum(1)
        place = jax.random.randint(key_place, words.shape[:1], 1, jnp.maximum(length, 2))[:, None]
        column = jnp.arange(words.shape[1])
        moved = jnp.where(column > place, jnp.roll(words, 1, axis=1), words)
        moved = jnp.where(column == place, UNKNOWN, moved)
        words = jnp.where(wanted[:, None], moved, words)
    return words


def join(*parts: Demonstrations) -> Demonstrations:
    """Concatenate sample sets."""
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


Stage = Callable[[str, int], Callable[[int, str], None]]
# Minibatches in one compiled call, between two reports of progress.
_CALL = 50


def pretrain(
    env: Env,
    batch: SceneBatch,
    still_env: Env,
    still_batch: SceneBatch,
    deploy: EnvConfig,
    policy: PolicyConfig,
    words: tuple[str, ...],
    settings: ImitationConfig,
    seed: int,
    out: Path,
    stage: Stage,
) -> dict[str, Any]:
    """Record demonstrations and stills, pretrain a policy on them, and save it as a run.

    Args:
        env, batch: where the expert is recorded.
        still_env, still_batch: where the stills are taken.
        deploy: the environment that the policy is meant for; saved with it.
        policy: sizes of the policy.
        words: its vocabulary.
        settings: of data and training.
        seed: everything random descends from it.
        out: folder of the run.
        stage: (name, total) -> update(done, note), to report progress.

    Returns:
        demos (episodes recorded), expert_success, loss (flow), ground_error_dm.
    """
    update = stage("recording the expert", settings.chunks)
    demos, found = collect_demonstrations(
        env, batch, seed, settings, lambda done, total: update(done, "")
    )
    data = demos
    if settings.stills:
        stills = collect_stills(still_env, still_batch, seed + 1, settings.stills)
        data = join(demos, stills)
    optimizer, run = make_pretrainer(policy, settings)
    params = init_params(policy, seed)
    opt_state = optimizer.init(params)
    data = jax.tree.map(jnp.asarray, data)
    rng = np.random.default_rng(seed)
    update = stage("pretraining by imitation", settings.steps)
    log = []
    for done in range(0, settings.steps, _CALL):
        count = min(_CALL, settings.steps - done)
        rows = rng.integers(0, settings.chunks, (count, settings.demo_rows))
        if settings.stills:
            total = settings.chunks + settings.stills
            more = rng.integers(settings.chunks, total, (count, settings.still_rows))
            rows = np.concatenate([rows, more], axis=1)
        key = jax.random.fold_in(jax.random.key(seed), done)
        params, opt_state, parts = run(params, opt_state, data, jnp.asarray(rows), key)
        flow, ground = (float(x) for x in parts)
        log.append({"step": done + count, "flow_loss": flow, "ground_error_dm": ground})
        update(done + count, f"loss {flow:.3f}")
    summary = {
        "demos": found["episodes"],
        "expert_success": found["expert_success"],
        "loss": log[-1]["flow_loss"],
        "ground_error_dm": log[-1]["ground_error_dm"],
    }
    RunConfig(policy, words, deploy, seed, asdict(settings)).save(out)
    write_json(Path(out) / "pretrain.json", summary | {"log": log})
    save_checkpoint(out, settings.steps, params)
    return summary
