"""MJX's Warp implementation: MuJoCo's own collision functions, fast on NVIDIA GPUs.

Fields that differ between scenes are batched like those of the JAX implementation. Contacts of all
environments share one array, so that none is lost while there is room in any.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import mujoco

from sim.physics.import_mjx import mjx
from sim.physics.mjx_capacity import Capacity

_ROWS = 3  # constraint rows of a contact


def require_warp() -> None:
    """Raises ValueError if Warp is not installed."""
    if importlib.util.find_spec("warp") is None:
        raise ValueError(
            "the physics backend mjx-warp needs warp-lang, which is not installed: "
            "pip install 'vla-jax[warp]', or choose mjx or native"
        )


def put_template(template: mujoco.MjModel, capacity: Capacity) -> tuple[mjx.Model, mjx.Data]:
    """The template on the device, and data with room for the contacts of one environment."""
    require_warp()
    model = mjx.put_model(template, impl="warp")
    rows = _ROWS * capacity.contacts + template.nv
    data = mjx.make_data(template, impl="warp", naconmax=capacity.contacts, njmax=rows)
    return model, data


def advance_warp(
    model: mjx.Model, template: mjx.Data, fields: dict[str, jax.Array], start: dict, ctrl: jax.Array
) -> tuple[mjx.Data, jax.Array]:
    """Physics steps of N environments.

    Args:
      model, template: from `put_template`.
      fields: f32[N, ...] fields of the model that environments take from their scenes.
      start: f32[N, ...] fields of the data to begin with.
      ctrl: f32[T, N, nu] actuator targets at every step.

    Returns:
      data of N environments, whose contacts share one array (see `touching`), and bool[N]:
      contacts or constraint rows of some step did not fit. The array of contacts is shared, and so
      is that flag where it overflows.
    """
    num = ctrl.shape[1]
    roomy = _with_room(template, num)
    data = jax.vmap(lambda values: roomy.replace(**values))(start)
    step = jax.vmap(lambda values, data: mjx.step(model.replace(**values), data))

    def substep(carry: tuple[mjx.Data, jax.Array], ctrl: jax.Array) -> tuple[Any, None]:
        data, full = carry
        data = step(fields, data.replace(ctrl=ctrl))
        impl = data._impl
        lost = (impl.nacon.max() > roomy._impl.naconmax) | (impl.nefc.reshape(num) > impl.njmax)
        return (data, full | lost), None

    return jax.lax.scan(substep, (data, jnp.zeros(num, bool)), ctrl)[0]


def touching(members: jax.Array, data: mjx.Data) -> jax.Array:
    """Which pairs of `CONTACTS` touch, bool[N, 5]; see `MjxScenes.members`."""
    impl = data._impl
    geom, world = impl.contact__geom, impl.contact__worldid
    real = (jnp.arange(len(world)) < impl.nacon.max()) & (impl.contact__dist < 0.0)
    first, second = members[:, :, geom[:, 0]], members[:, :, geom[:, 1]]
    pair = (first[:, 0] & second[:, 1]) | (first[:, 1] & second[:, 0])  # [5, contacts]
    found = jnp.zeros((data.qpos.shape[0], len(pair)), bool)
    return found.at[world].max((pair & real).T)


def _with_room(data: mjx.Data, num: int) -> mjx.Data:
    """Data for one of `num` environments, with the array of contacts that they share."""
    impl: Any = data._impl
    room = num * impl.naconmax
    grown = {
        name: jnp.broadcast_to(value[:1], (room, *value.shape[1:]))
        for name, value in vars(impl).items()
        if name.startswith("contact__") and value.shape[0] == impl.naconmax
    }
    return data.replace(_impl=impl.replace(naconmax=room, naccdmax=room, **grown))
