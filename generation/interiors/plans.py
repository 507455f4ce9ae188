"""All plans of rooms by style."""

from __future__ import annotations

from collections.abc import Callable

from generation.interiors import homes, outdoors, workplaces
from generation.interiors.caster import Hall
from generation.interiors.plan import Rng

PLANS: dict[str, Callable[[Rng], Hall]] = {
    plan.__name__: plan
    for plan in (
        homes.bathroom, homes.bedroom, homes.dining, homes.kitchen, homes.living, homes.nursery,
        outdoors.garden, outdoors.terrace, workplaces.cafe, workplaces.classroom,
        workplaces.garage, workplaces.laboratory, workplaces.library, workplaces.office,
        workplaces.warehouse, workplaces.workshop,
    )
}  # fmt: skip
