"""What cars can have, what they cannot, and how they are numbered."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import UnknownName, UsageError
from fleet.kernel.draws import Draws
from fleet.vehicle.catalogue import Equipment, draw_equipment, load_catalogue, make_vin, problems
from fleet.wire.vin import is_vin

CATALOGUE = load_catalogue()
SEED = 11


def draw(model: str, energy: str | None = None, n: int = 0, **overrides: object) -> Equipment:
    return draw_equipment(CATALOGUE, Draws(SEED, "equipment", n), model=model, energy=energy, overrides=overrides)


def test_the_five_models_with_their_energies() -> None:
    """As the public pages have them."""
    assert {name: set(model.energies) for name, model in CATALOGUE.models.items()} == {
        "Ateca": {"petrol", "diesel"},
        "Leon": {"petrol", "diesel", "e-hybrid"},
        "Formentor": {"petrol", "diesel", "e-hybrid"},
        "Born": {"electric"},
        "Tavascan": {"electric"},
    }
    assert {name: model.generation for name, model in CATALOGUE.models.items()} == {
        "Ateca": "G3", "Leon": "G3", "Formentor": "G3", "Born": "G4", "Tavascan": "G4",
    }  # fmt: skip
    assert sorted(battery.battery_kwh for battery in CATALOGUE.models["Born"].energies["electric"].traction) == [45, 58, 77]


def test_shares_add_up() -> None:
    """Shares of models, energies and batteries are whole; weeks exist and are in order."""
    assert sum(model.share for model in CATALOGUE.models.values()) == pytest.approx(1.0)
    for model in CATALOGUE.models.values():
        assert sum(figures.share for figures in model.energies.values()) == pytest.approx(1.0)
        assert sum(battery.share for battery in model.batteries_12v) == pytest.approx(1.0)
        first, last = (date.fromisocalendar(week // 100, week % 100, 1) for week in (model.first_week, model.last_week))
        assert first < last


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**64 - 1))
def test_every_car_drawn_is_one_that_can_be_built(key: int) -> None:
    """Whatever is drawn goes together, and the rules that tell one energy from another hold."""
    draws = Draws(key, "equipment")
    e = draw_equipment(CATALOGUE, draws, model=draws.choice([*CATALOGUE.models]))
    assert problems(CATALOGUE, e) == []
    assert (e.adblue_l > 0) == (e.adblue_l_per_1000km > 0) == (e.energy == "diesel")
    assert (e.tank_l > 0) == (e.fuel_l_per_100km > 0) == (e.reserve_l > 0) == e.has_engine == (e.energy != "electric")
    assert (
        (e.usable_kwh > 0) == (e.kwh_per_100km > 0) == e.can_charge == e.climatisation == (e.energy in {"e-hybrid", "electric"})
    )
    assert e.charge_power_kw == {"e-hybrid": 3.6, "electric": 11.0}.get(e.energy, 0.0)
    if e.climatisation:
        assert not e.parking_heater
        assert not e.remote_ventilation
    if e.model == "Formentor" and e.remote_ventilation:
        assert (e.battery_12v_a, e.battery_12v_ah) in {(420, 70), (380, 68)}
    assert e.heater_chooses_mode == (e.parking_heater and e.model in {"Leon", "Formentor"})
    assert e.mib3 == (e.generation == "G3")
    assert is_vin(make_vin(e, 0))


def test_drawing_depends_on_the_stream_alone() -> None:
    """The same stream gives the same car; an override changes what it names, and what depends on it, and no more."""
    car = draw("Leon", "petrol", 3)
    assert car == draw("Leon", "petrol", 3)
    changed = draw("Leon", "petrol", 3, sunroof=not car.sunroof, build_week=202201)
    names = {name for name in Equipment.__struct_fields__ if getattr(car, name) != getattr(changed, name)}
    assert names == {"sunroof", "build_week"}


def test_options_come_by_their_shares() -> None:
    """2000 Formentors: energies and options within 4 points of the catalogue."""
    data = CATALOGUE.models["Formentor"]
    cars = [draw("Formentor", n=n) for n in range(2000)]
    count = Counter(car.energy for car in cars)
    for energy, figures in data.energies.items():
        assert count[energy] / len(cars) == pytest.approx(figures.share, abs=0.04), f"seed {SEED}"
    assert sum(car.sunroof for car in cars) / len(cars) == pytest.approx(data.sunroof, abs=0.04), f"seed {SEED}"
    combustion = [car for car in cars if not car.climatisation]
    heated = sum(car.parking_heater for car in combustion) / len(combustion)
    assert heated == pytest.approx(data.parking_heater, abs=0.04), f"seed {SEED}"


def test_what_depends_on_an_override_follows() -> None:
    """Remote ventilation brings a battery that carries it; a parking heater in a Leon chooses its mode."""
    for n in range(30):
        car = draw("Formentor", "petrol", n, remote_ventilation=True)
        assert (car.battery_12v_a, car.battery_12v_ah) in {(420, 70), (380, 68)}
        assert not draw("Formentor", "petrol", n, battery_12v_ah=59).remote_ventilation
        assert draw("Leon", "diesel", n, parking_heater=True).heater_chooses_mode
        assert not draw("Ateca", "diesel", n, parking_heater=True).heater_chooses_mode
        assert draw("Born", n=n, battery_kwh=77).usable_kwh == 77.0


@pytest.mark.parametrize(("model", "energy", "overrides", "part"), [
    ("Leon", "e-hybrid", {"parking_heater": True}, "climatisation instead"),
    ("Born", None, {"parking_heater": True}, "climatisation instead"),
    ("Born", None, {"remote_ventilation": True}, "third generation"),
    ("Formentor", "petrol", {"remote_ventilation": True, "battery_12v_ah": 59}, "380 A"),
    ("Formentor", "petrol", {"battery_12v_ah": 70, "battery_12v_a": 380}, "no 12 V battery"),
    ("Leon", "petrol", {"adblue_l": 12.0}, "adblue_l can only be 0"),
    ("Leon", "petrol", {"adblue_l_per_1000km": 2.0}, "can only be 0"),
    ("Leon", "diesel", {"window_heating": True}, "part of climatisation"),
    ("Leon", "diesel", {"climatisation": True}, "can only be False"),
    ("Ateca", "petrol", {"generation": "G4"}, "can only be G3"),
    ("Born", None, {"battery_kwh": 60}, "45"),
    ("Born", None, {"fuel_l_per_100km": 5.0}, "can only be 0"),
    ("Leon", "petrol", {"build_week": 202199}, "no ISO week"),
    ("Tavascan", None, {"build_week": 202101}, "first built"),
    ("Leon", "petrol", {"sunroof": "yes"}, "sunroof"),
    ("Leon", "petrol", {"model": "Born"}, "petrol Born"),
    ("Born", "diesel", {}, "no diesel Born"),
])  # fmt: skip
def test_what_a_model_cannot_have_is_refused(model: str, energy: str | None, overrides: dict[str, object], part: str) -> None:
    """The error says why."""
    with pytest.raises(UsageError, match=part):
        draw_equipment(CATALOGUE, Draws(SEED, "equipment"), model=model, energy=energy, overrides=overrides)


@pytest.mark.parametrize(("model", "energy", "overrides", "nearest"), [
    ("formentr", None, {}, "Formentor"),
    ("Leon", "desel", {}, "diesel"),
    ("Leon", None, {"parking_heat": True}, "parking_heater"),
])  # fmt: skip
def test_unknown_names_are_answered_with_the_nearest(
    model: str, energy: str | None, overrides: dict[str, object], nearest: str
) -> None:
    """A slip of the pen costs one look."""
    with pytest.raises(UnknownName) as caught:
        draw_equipment(CATALOGUE, Draws(SEED, "equipment"), model=model, energy=energy, overrides=overrides)
    assert nearest in caught.value.hint


def test_vins_are_valid_and_unique_within_a_model() -> None:
    """Serial numbers tell cars of one model apart, whatever their equipment; models differ anyway."""
    seen = set()
    for model in CATALOGUE.models:
        for serial in (*range(300), 499_999, 999_999):
            seen.add(make_vin(draw(model, n=serial), serial))
    assert len(seen) == 5 * 302
    assert all(is_vin(vin) and vin.startswith("VSSZZZ") for vin in seen)
    assert len({(vin[6:8], vin[-6:]) for vin in seen}) == len(seen)


@pytest.mark.parametrize(("week", "letter"), [(202121, "M"), (202122, "N"), (202540, "T")])
def test_vin_tells_the_model_year(week: int, letter: str) -> None:
    """Position 10: cars built from week 22 on are of the next model year."""
    assert make_vin(draw("Leon", "petrol", build_week=week), 1)[9] == letter


@pytest.mark.parametrize("serial", [-1, 1_000_000])
def test_serial_numbers_have_six_digits(serial: int) -> None:
    """Others are refused rather than cut."""
    with pytest.raises(UsageError, match="serial"):
        make_vin(draw("Leon"), serial)
