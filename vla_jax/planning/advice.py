"""What to do about a run that does not fit: changes that do, each one planned itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import jax

from vla_jax.memory import MemoryPlan, mesh_sizes, size_text
from vla_jax.models.config import PolicyConfig
from vla_jax.train import TrainConfig

# The plan of other settings.
Planner = Callable[[TrainConfig], MemoryPlan]


def check_plan(
    plan: MemoryPlan,
    settings: TrainConfig,
    planner: Planner,
    variants: Mapping[str, Callable[[], MemoryPlan]] | None = None,
) -> None:
    """Refuse a run that does not fit.

    Args:
        plan: of the run.
        settings: of the run.
        planner: plans the run with other settings.
        variants: plans of the run with another policy, by what to do for it.

    Raises:
        ValueError: what it needs, what there is, the largest part, and what would fit.
    """
    if plan.fits:
        return
    assert plan.available is not None
    found = list(advise(plan, settings, planner, variants or {}))
    head = (
        f"needs {size_text(plan.total)} per device, {size_text(plan.available)} available: "
        f"largest part {plan.largest} {size_text(plan.parts[plan.largest])}; "
    )
    if not found:
        raise ValueError(head + "no smaller run of this policy fits: choose a smaller policy")
    options = [f"{text} (→ {size_text(other.total)})" for text, other in found]
    raise ValueError(head + "try " + " or ".join(options))


def advise(
    plan: MemoryPlan,
    settings: TrainConfig,
    planner: Planner,
    variants: Mapping[str, Callable[[], MemoryPlan]],
) -> Iterator[tuple[str, MemoryPlan]]:
    """Changes after which the run fits, as the command line names them, with their plans."""
    if (envs := fitting_envs(plan, settings, planner)) is not None:
        yield f"--num-envs {envs[0]}", envs[1]
    for number in range(settings.ppo.minibatches + 1, settings.length + 1):
        if plan.phase != "update" or settings.length % number:
            continue
        ppo = replace(settings.ppo, minibatches=number)
        if (other := planner(replace(settings, ppo=ppo))).fits:
            yield f"--minibatches {number}", other
            break
    for text, variant in variants.items():
        if (other := variant()).fits:
            yield text, other
    for number in _larger_fsdp(settings):
        mesh = replace(settings.mesh, data=-1, fsdp=number)
        if (other := planner(replace(settings, mesh=mesh))).fits:
            yield f"--mesh-fsdp {number}", other
            break


def lighter_policies(config: PolicyConfig) -> dict[str, PolicyConfig]:
    """The same architecture trained with less memory, by what to do for it."""
    pi0 = config.pi0
    if pi0 is None:
        return {}
    from vla_jax.models.pi0_config import LoraConfig

    found = {}
    if not pi0.remat:
        found["a policy with remat"] = replace(config, pi0=replace(pi0, remat=True))
    if pi0.freeze == "full":
        tuned = replace(pi0, lora=LoraConfig(rank=32), freeze="paper")
        found["a policy with LoRA"] = replace(config, pi0=tuned)
    return found


def fitting_envs(
    plan: MemoryPlan, settings: TrainConfig, planner: Planner
) -> tuple[int, MemoryPlan] | None:
    """About the largest number of environments that fits, and its plan; None if none does.

    Memory is all but linear in that number, so two plans say nearly where to look.
    """
    assert plan.available is not None
    step = plan.devices * (8 if settings.num_envs >= 16 * plan.devices else 1)
    low = min(step, settings.num_envs)
    few = planner(replace(settings, num_envs=low))
    if not few.fits:
        return None
    best = low, few
    slope = (plan.total - few.total) / max(settings.num_envs - low, 1)
    room = (plan.available - few.total) / max(slope, 1e-9)
    number = low + int(room / step) * step
    for _ in range(3):
        if not low < number < settings.num_envs:
            break
        other = planner(replace(settings, num_envs=number))
        if other.fits:
            return number, other
        number -= max(step, number // 20 // step * step)
    return best


def _larger_fsdp(settings: TrainConfig) -> list[int]:
    """Numbers of devices that could share the parameters, above that of the settings."""
    devices = jax.device_count()
    _, fsdp = mesh_sizes(settings.mesh)
    return [n for n in range(fsdp + 1, devices + 1) if devices % n == 0]
