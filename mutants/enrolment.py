"""Bugs in how cars get their users, and lose them."""

from __future__ import annotations

from typing import Final

from mutants.mutant import Mutant

ENROLMENT: Final[tuple[Mutant, ...]] = (
    Mutant(
        name="previous-owner-stays",
        told="a take-over adds a primary user, and takes nothing from the one before",
        file="cloud/people/at_home.py",
        old=('    return replace(car, users={}, sim="", sim_in_car=False)'),
        new=('    return replace(car, sim="", sim_in_car=False)'),
        scenario="new-owner",
        caught_by=("commands.rejected.insufficient_rights / cars >= 7.2", "refresh: rejected(insufficient_rights)"),
    ),
    Mutant(
        name="open-commands-are-told",
        told="what comes of an open command is told to a previous owner",
        file="cloud/desk.py",
        old=("held.record.user in gone for output"),
        new=("held.record.user is gone for output"),
        scenario="new-owner",
        caught_by=("commands.unknown / cars >= 20 %", "refresh: unknown"),
    ),
    Mutant(
        name="factory-settings-free-nobody",
        told="a car that was reset still has its users",
        file="cloud/people/at_home.py",
        old=("if not user.awaited and user.given < number]"),
        new=("if user.awaited and user.given < number]"),
        scenario="new-owner",
        caught_by=("mails.taken_over / cars <= 75 %",),
    ),
    Mutant(
        name="switches-of-the-previous-owner",
        told="what a previous owner has switched off in the app stays off",
        file="cloud/people/primary.py",
        old=("        opened(at_home.free(without_begun(car, account_id)), now),"),
        new=("        at_home.free(without_begun(car, account_id)),"),
        scenario="new-owner",
        caught_by=("honk: succeeded",),
    ),
    Mutant(
        name="any-pairing-code",
        told="any 8 digits enrol whoever has begun",
        file="cloud/people/enrolment.py",
        old=('if each.way == "code" and compare_digest(each.code, typed)]'),
        new=('if each.way == "code" and compare_digest(each.code, each.code)]'),
        scenario="new-owner",
        caught_by=("enrolments.succeeded / cars == 1",),
    ),
    Mutant(
        name="assistant-without-spin",
        told="in the assistant any S-PIN will do",
        file="cloud/people/enrolment.py",
        old=("            if proof is None or not proof.right or proof.account is None:"),
        new=("            if proof is None or proof.account is None:"),
        scenario="new-owner",
        caught_by=("enrolments.succeeded / cars == 1",),
    ),
    Mutant(
        name="assistant-without-consents",
        told="the assistant enrols whoever accepts no text",
        file="cloud/people/enrolment.py",
        old=("        if set(TEXTS) - set(words.consents):"),
        new=("        if set(TEXTS) - set(TEXTS):"),
        scenario="new-owner",
        caught_by=("enrolments.succeeded / cars == 1",),
    ),
    Mutant(
        name="everybody-removes-everybody",
        told="an additional user removes the primary one, and has the car",
        file="cloud/people/users.py",
        old=("        if who not in {account, car.primary}:"),
        new=("        if who not in car.users:"),
        scenario="new-owner",
        caught_by=("service users remove: rejected(insufficient_rights)",),
    ),
    Mutant(
        name="car-is-not-told",
        told="the car does not hear who its users are",
        file="cloud/people/primary.py",
        old=("        at_home.welcome(people, car.vin, account_id),\n"),
        new=(""),
        scenario="new-owner",
        caught_by=("enrolments.succeeded / cars == 1",),
    ),
    Mutant(
        name="partner-of-the-previous-owner",
        told="the partner whom a previous owner has preferred hears of faults",
        file="cloud/partners.py",
        old=("        return kept if primary in {None, kept.by} else Preference()"),
        new=("        return kept if primary in {None, primary} else Preference()"),
        scenario="new-owner",
        caught_by=("partners", "notices.fault / cars == 20 %"),
    ),
)
