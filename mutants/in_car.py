"""Bugs in what people do in a car: enrolment, log-in, users, the reserve of its battery."""

from __future__ import annotations

from typing import Final

from mutants.mutant import Mutant

IN_CAR: Final = (
    Mutant(
        name="reserve-ignored",
        told="climatisation leaves a fifth of the charge, whatever reserve was set",
        file="vehicle/services/climatisation.py",
        old=("    return max(LEAST_CHARGE, reserve_of(car))"),
        new=("    return LEAST_CHARGE"),
        scenario="rule-book",
        caught_by=("climatisation rule", "climatisation: a reserve of 40 %, charged to 39.99 %"),
    ),
    Mutant(
        name="reserve-waits-for-the-night",
        told="a car below its reserve waits for the night window",
        file="vehicle/services/charging.py",
        old=("    if to_reserve:"),
        new=("    if False:"),
        scenario="rule-book",
        caught_by=("charging_settings: it charges to the reserve",),
    ),
    Mutant(
        name="qr-ten-minutes",
        told="a QR code is worth something for ten minutes",
        file="vehicle/services/enrolment.py",
        old=("QR_LASTS: Final[Duration] = 5 * MINUTE"),
        new=("QR_LASTS: Final[Duration] = 10 * MINUTE"),
        scenario="rule-book",
        caught_by=("enrolled in the car",),
    ),
    Mutant(
        name="qr-for-all-models",
        told="every model is enrolled by a QR code, too",
        file="vehicle/services/enrolment.py",
        old=("    return way_in(car) == way and"),
        new=("    return way in (way_in(car), 'qr') and"),
        scenario="rule-book",
        caught_by=("enrolled in the car", "qr_shown: a model that is enrolled in another way (leon)"),
    ),
    Mutant(
        name="second-key-alone",
        told="the second key is enough to enrol",
        file="vehicle/services/enrolment.py",
        old=(
            "    elif first is not None:\n        drop(car, FirstKey)\n        if now - first.at <= SECOND_KEY_WITHIN:\n            online"
        ),
        new=("    else:\n        if True:\n            online"),
        scenario="rule-book",
        caught_by=("enrolled in the car", "request_failed: the second key once more"),
    ),
    Mutant(
        name="log-in-without-spin",
        told="a log-in is asked without the S-PIN",
        file="vehicle/services/users.py",
        old=('refused=None if proof else "spin_required"'),
        new=("refused=None"),
        scenario="rule-book",
        caught_by=("enrolled in the car", "request_failed: a log-in without the S-PIN"),
    ),
    Mutant(
        name="everybody-deletes-users",
        told="whoever is logged in deletes any user on the screen",
        file="vehicle/services/car_users.py",
        old=('    return role == "primary" or (role == "additional" and user == logged_in(car))'),
        new=("    return role in {'primary', 'additional', 'guest'} and bool(user)"),
        scenario="family",
        caught_by=("delete_user: by a guest",),
    ),
    Mutant(
        name="additional-users-delete-others",
        told="an additional user deletes others on the screen",
        file="vehicle/services/car_users.py",
        old=('(role == "additional" and user == logged_in(car))'),
        new=('role == "additional"'),
        scenario="family",
        caught_by=("delete_user: a guest, by an additional user",),
    ),
    Mutant(
        name="saved-spin-forgotten",
        told="an S-PIN that was to be saved is typed again at each log-in",
        file="vehicle/services/users.py",
        old=("    if asked.typed and asked.save:"),
        new=("    if False:"),
        scenario="family",
        caught_by=("log_in: with the saved S-PIN",),
    ),
    Mutant(
        name="services-in-nobodys-name",
        told="online services go in the primary user's name, whoever is logged in",
        file="vehicle/services/online.py",
        old=("    if users is not None and users.logged_in is not None and not entry.enrols:"),
        new=("    if False and users is not None:"),
        scenario="family",
        caught_by=("internet_radio: while a guest is logged in",),
    ),
)
