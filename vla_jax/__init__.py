"""From a sentence to a fine-tuned robot policy, in JAX.

    import vla_jax as vj

    scenes = vj.design("put the banana in the blue bowl", n=8, seed=0)
    env, batch = vj.make_env(scenes, num_envs=64)
    policy = vj.load_policy("runs/demo")
    print(vj.evaluate(policy, scenes, episodes=256).success_rate)

Importing this package loads neither JAX nor MuJoCo: every name below is loaded when first used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generation.assets.intake.importer import import_sources
    from generation.assets.store import AssetLibrary
    from generation.designer import design
    from generation.production.parallel import design_many
    from generation.quality import inspect_scenes
    from generation.spec import SceneSpec
    from generation.store import load_scenes, save_scenes
    from sim.env import EnvConfig
    from sim.randomize import Randomization
    from vla_jax.api import evaluate, load_policy, make_env
    from vla_jax.models.config import PolicyConfig
    from vla_jax.rl.ppo import PPOConfig

__version__ = "0.1.0"

_HOME = {
    "design": "generation.designer",
    "design_many": "generation.production.parallel",
    "import_sources": "generation.assets.intake.importer",
    "AssetLibrary": "generation.assets.store",
    "save_scenes": "generation.store",
    "load_scenes": "generation.store",
    "inspect_scenes": "generation.quality",
    "SceneSpec": "generation.spec",
    "make_env": "vla_jax.api",
    "EnvConfig": "sim.env",
    "Randomization": "sim.randomize",
    "load_policy": "vla_jax.api",
    "evaluate": "vla_jax.api",
    "PolicyConfig": "vla_jax.models.config",
    "PPOConfig": "vla_jax.rl.ppo",
}

__all__ = [
    "AssetLibrary",
    "EnvConfig",
    "PPOConfig",
    "PolicyConfig",
    "Randomization",
    "SceneSpec",
    "__version__",
    "design",
    "design_many",
    "evaluate",
    "import_sources",
    "inspect_scenes",
    "load_policy",
    "load_scenes",
    "make_env",
    "save_scenes",
]


def _check_siblings() -> None:
    """Makes sure that `import sim` and `import generation` find this library's own packages.

    Both are common names for a folder, and a project that has one of its own would be imported
    in place of ours. Nothing is imported here.

    Raises:
        ImportError: names the path that shadows ours and how to get it out of the way.
    """
    home = Path(__file__).resolve().parent.parent
    for name in ("generation", "sim"):
        if name in sys.modules:
            spec = getattr(sys.modules[name], "__spec__", None)
        else:
            spec = importlib.util.find_spec(name)
        own = home / name / "__init__.py"
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found == own:
            continue
        if spec is None and name not in sys.modules:
            raise ImportError(
                f"vla_jax needs the package {name!r} beside it in {home}, and it is missing: "
                "install vla-jax again (pip install --force-reinstall vla-jax)"
            )
        places = list(spec.submodule_search_locations or []) if spec else []
        culprit = found or (
            places[0] if places else getattr(sys.modules.get(name), "__file__", "?")
        )
        raise ImportError(
            f"vla_jax needs its own package {name!r} ({own.parent}), but Python finds {culprit} "
            f"instead. Rename that file or folder, or start Python where it is not on sys.path "
            "(for instance from another working directory)"
        )


_check_siblings()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vla_jax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
