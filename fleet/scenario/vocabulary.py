"""The names that the shipped vehicle catalogue and regions give to scenario files."""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from fleet.scenario.schema import Vocabulary
from fleet.vehicle.catalogue import Equipment, load_catalogue
from fleet.vehicle.driver import Profile
from fleet.vehicle.region import load_regions

_FROM_THE_MODEL: Final = ("model", "generation", "energy")
"""Fields of a car's equipment that 'models' and 'energies' decide."""


def catalogue_vocabulary() -> Vocabulary:
    """Return the vocabulary of what is shipped; reasons are left open."""
    return Vocabulary(
        models={name: tuple(data.energies) for name, data in load_catalogue().models.items()},
        regions={name: region.timezone for name, region in load_regions().items()},
        profiles=get_args(Profile),
        equipment={field.name: field.type for field in msgspec.structs.fields(Equipment) if field.name not in _FROM_THE_MODEL},
    )
