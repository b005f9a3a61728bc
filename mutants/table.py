"""All bugs that are planted, in the order in which docs/checks.md tells them."""

from __future__ import annotations

from typing import Final

from mutants.back_end import BACK_END
from mutants.cars import CARS
from mutants.enrolment import ENROLMENT
from mutants.erasure import ERASURE
from mutants.in_car import IN_CAR
from mutants.licences import LICENCES
from mutants.mutant import Mutant
from mutants.people import PEOPLE
from mutants.rules import RULES
from mutants.telling import TELLING

MUTANTS: Final[tuple[Mutant, ...]] = (*RULES, *CARS, *TELLING, *BACK_END, *IN_CAR, *LICENCES, *PEOPLE, *ENROLMENT, *ERASURE)
