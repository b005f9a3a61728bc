"""Bugs in how cars and people are erased."""

from __future__ import annotations

from typing import Final

from mutants.mutant import Mutant

ERASURE: Final[tuple[Mutant, ...]] = (
    Mutant(
        name="late-messages-of-erased-cars-are-stored",
        told="a message that was measured before its car was erased is stored when it comes afterwards",
        file="backend/forgotten.py",
        old=(
            "        if message.captured_at <= mark.until or plausible < message.captured_at <= mark.ahead_until:\n"
            "            return True\n"
        ),
        new=(""),
        scenario="right-to-be-forgotten",
        caught_by=("forgotten cars",),
    ),
    Mutant(
        name="erased-cars-speak-on",
        told="an erased car is heard of again with any message",
        file="backend/forgotten.py",
        old=("        return mark.whole and not is_known and not speaks_again(message)"),
        new=("        return False"),
        scenario="right-to-be-forgotten",
        caught_by=("forgotten cars",),
    ),
    Mutant(
        name="erased-cars-keep-their-people",
        told="no car is told to forget its people",
        file="cloud/people/erasure.py",
        old=('        return [AskCar(command, vin, "reset", {}, LONGEST_TIME_TO_LIVE) for command, vin in asked.items()]'),
        new=("        return []"),
        scenario="right-to-be-forgotten",
        caught_by=("dropped >= 100",),
    ),
    Mutant(
        name="the-desk-knows-erased-cars",
        told="the desk goes on to know a car that was erased",
        file="cloud/desk.py",
        old=("        self._known.discard(vin)\n        self._forgotten.add(vin)"),
        new=("        self._forgotten.add(vin)"),
        scenario="right-to-be-forgotten",
        caught_by=("forgotten cars", "refresh: rejected(unknown_vin)"),
    ),
    Mutant(
        name="accounts-outlive-their-person",
        told="the account of an erased person stays",
        file="cloud/people/erasure.py",
        old=("        people.drop_account(account.id)\n"),
        new=(""),
        scenario="right-to-be-forgotten",
        caught_by=("service account show: rejected(insufficient_rights)",),
    ),
    Mutant(
        name="anybody-erases-a-car",
        told="another user than the primary one has a car erased",
        file="cloud/people/erasure.py",
        old=("asked.person not in {None, primary}:"),
        new=("False:"),
        scenario="right-to-be-forgotten",
        caught_by=("service erasure erase: rejected(insufficient_rights)",),
    ),
)
