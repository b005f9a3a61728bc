"""The shipped scenarios in virtual time: each passes, and each fails when what it shows is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace as replace_struct

from fleet.backend.forgotten import ForgottenCars
from fleet.cloud import calls as cloud_calls
from fleet.cloud import entitlement, online, partners, rights
from fleet.cloud.campaigns import Campaign
from fleet.cloud.countries import load_countries
from fleet.cloud.desk import Desk
from fleet.cloud.people import at_home, enrolment, licences, people, sales, terms
from fleet.cloud.people.erasure import Erasures
from fleet.cloud.people.people import People
from fleet.cloud.rights import CarRights
from fleet.kernel.instants import DAY, Instant
from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import Overrides, load
from fleet.scenario.scalars import ClockFactor
from fleet.scenario.schema import Scenario, Vocabulary
from fleet.transport.link import BackOff
from fleet.vehicle import catalogue, driver_actions, rules
from fleet.vehicle.car import Car
from fleet.vehicle.hazards import FaultName
from fleet.vehicle.kept import find
from fleet.vehicle.outbox import Outbox
from fleet.vehicle.powertrain import Powertrain
from fleet.vehicle.remote import Remote
from fleet.vehicle.services import (
    area_alert,
    calls,
    charge_settings,
    charging,
    climatisation,
    comfort,
    hooks,
    horn,
    privacy,
    routes,
    speed_alert,
    updates,
    wear,
)
from fleet.vehicle.services import enrolment as car_enrolment
from fleet.vehicle.services import online as car_online
from fleet.vehicle.services.registry import SERVICES
from fleet.vehicle.services.updates import Updates
from fleet.vehicle.signals import Transmit
from fleet.wire.parameters import Charging, Heater, SystemUpdate
from tests.listening import hear_instead
from tests.runtime.test_virtual_stage import Quiet
from tests.shipped import FILES

CARS = {
    "accident": 100,
    "border": 60,
    "broker-outage": 100,
    "command-storm": 200,
    "find-my-car": 48,
    "geofence-evening": 40,
    "heater-morning": 250,
    "family": 50,
    "licence-year": 300,
    "privacy-day": 40,
    "long-weekend": 60,
    "new-owner": 30,
    "online-day": 25,
    "ota-campaign": 200,
    "overnight-charging": 60,
    "reconnect-storm": 100,
    "registration-day": 200,
    "right-to-be-forgotten": 42,
    "road-trip": 100,
    "rush-hour": 200,
    "underground-car-park": 60,
    "winter-week": 50,
}
"""As many as it takes for the shares that the expectations speak of to be more than chance.

Of the rule book there are tests of its own."""


def loaded(name: str, **settings: str) -> Scenario:
    """Return a shipped scenario with few cars and a virtual clock."""
    overrides = Overrides(cars=CARS[name], clock=ClockFactor.parse("virtual"), settings=settings)
    return load(resource_dir("scenarios") / f"{name}.yaml", vocabulary(), overrides)


def run(scenario: Scenario, out: Path) -> dict[str, Any]:
    return virtual_run(RunConfig(scenario=scenario, out=out, journal=False), Quiet()).execute()


def unmet(report: dict[str, Any]) -> set[str]:
    """Return the expectations that were not met."""
    return {expectation["text"] for expectation in report["expectations"] if not expectation["passed"]}


def test_none_is_forgotten() -> None:
    """Each shipped scenario is run here."""
    assert {*CARS, "rule-book"} == {path.stem for path in FILES}


@pytest.mark.parametrize("name", CARS)
def test_each_passes(name: str, tmp_path: Path) -> None:
    """With fewer cars, too: their expectations are shares."""
    report = run(loaded(name), tmp_path)
    assert (report["verdict"], unmet(report)) == ("passed", set())


def erased_cars_are_not_told(patch: pytest.MonkeyPatch) -> None:
    """No car hears that it is to forget its people."""
    patch.setattr(Erasures, "_ask_cars", lambda _self, _erasure: [])


def erased_cars_are_heard(patch: pytest.MonkeyPatch) -> None:
    """Whatever comes of them is stored."""
    patch.setattr(ForgottenCars, "refuses", lambda _self, _message, *, is_known, plausible: is_known and not plausible)


def whoever_was_erased_may_ask(patch: pytest.MonkeyPatch) -> None:
    """The account stays."""
    patch.setattr(People, "drop_account", lambda _self, _account: None)


# --- what each shows, broken ----------------------------------------------------------------------------------------


def commands_are_slept_through(patch: pytest.MonkeyPatch) -> None:
    """A car wakes for a command, and has forgotten which."""

    def woken(self: Remote, car: Car, now: Instant) -> None:
        self._waiting = None

    patch.setattr(Remote, "woken", woken)


def honk_a_kilometre_away(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(horn, "HONK_WITHIN_M", 1000.0)


def the_outbox_is_emptied_underground(patch: pytest.MonkeyPatch) -> None:
    """A new connection begins without what waited for it."""
    resume = Outbox.connection_made

    def forgetful(self: Outbox, now: Instant) -> Transmit | None:
        self._waiting = None
        return resume(self, now)

    patch.setattr(Outbox, "connection_made", forgetful)


def garages_have_network(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Car, "set_coverage", lambda *_: None)


def heaters_never_end(patch: pytest.MonkeyPatch) -> None:
    """Their timer is not obeyed."""
    end = comfort.end

    def timeless(car: Car, reason: comfort.EndReason, now: Instant) -> None:
        if reason != "time":
            end(car, reason, now)

    patch.setattr(comfort, "end", timeless)


def heaters_burn_the_reserve(patch: pytest.MonkeyPatch) -> None:
    """They start with any drop of fuel."""
    patch.setitem(SERVICES, Heater, replace(SERVICES[Heater], refusal=lambda *_: None))


def what_was_under_way_is_taken_for_done(patch: pytest.MonkeyPatch) -> None:
    """A message whose connection broke is not sent again."""

    def connection_lost(self: Outbox) -> None:
        self.is_connected = False
        self._in_flight = None

    patch.setattr(Outbox, "connection_lost", connection_lost)


def nobody_comes_back(patch: pytest.MonkeyPatch) -> None:
    """They wait for an hour after the first loss."""
    patch.setattr(BackOff, "next_s", lambda _: 3600.0)


def waking_costs_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "WAKE_UPS_WITHOUT_DRIVE", 1_000_000)


def the_clocks_are_not_changed(patch: pytest.MonkeyPatch) -> None:
    """It is winter time for ever."""
    patch.setattr(Vocabulary, "zone_of", lambda *_: "Etc/GMT-1")


def two_of_a_kind_run_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Remote, "_busy", lambda *_: None)


def the_network_has_no_holes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(driver_actions, "_plan_dead_zones", lambda *_: None)


def the_night_window_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(charging, "_read_window", lambda **_: None)


def the_limit_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    """The battery is filled, whatever the user has set."""
    patch.setattr(charge_settings, "_target_kwh", lambda car, _: car.equipment.usable_kwh)


def all_places_are_alike(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(charge_settings.Location, "settings", lambda _, general: general)


def a_departure_is_no_reason_to_charge(patch: pytest.MonkeyPatch) -> None:
    """Outside the night window nothing is charged for it."""
    patch.setattr(charging, "READY_AHEAD", -DAY)


def charging_needs_no_plug(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(SERVICES, Charging, replace(SERVICES[Charging], refusal=lambda *_: None))


def every_leon_has_the_menu(patch: pytest.MonkeyPatch) -> None:
    """However early it was built."""
    patch.setattr(catalogue, "HEATER_SET_AFTER_WEEK", 202000)


def timers_are_due_once(patch: pytest.MonkeyPatch) -> None:
    """The car's clock forgets them after the first time."""
    plan = comfort._plan
    patch.setattr(comfort, "_plan", lambda car, *given: None if car.comfort else plan(car, *given))


def comfort_empties_the_12_v_battery(patch: pytest.MonkeyPatch) -> None:
    """Nothing ends or is refused when it is low."""
    patch.setattr(hooks, "low_voltage_fell", lambda *_: None)
    patch.setattr(comfort, "LOW_PERCENT", 0.0)


def climatisation_needs_no_charge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(climatisation, "LEAST_CHARGE", 0.0)


def nobody_replies(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(online.OnlineRule, "request", lambda *_: ())


def what_nobody_waits_for_is_done(patch: pytest.MonkeyPatch) -> None:
    """A purchase is made after its buyer was told that nothing came back."""
    request = online.OnlineRule.request
    patch.setattr(
        online.OnlineRule, "request", lambda rule, asked, now: request(rule, replace_struct(asked, expires_at=None), now)
    )


def what_the_primary_user_allows_is_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rights, "ALLOWABLE", frozenset())


def whoever_sits_in_a_car_is_its_primary_user(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(entitlement, "in_car", lambda car, _name: car.primary)


def partners_want_no_consent_of_their_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(people, "OPT_IN", ())


def nothing_is_switched_off(patch: pytest.MonkeyPatch) -> None:
    """What the app wants is kept, and nothing follows from it."""
    patch.setattr(rights, "unsent", lambda *_: None)


def everybody_may_buy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(online, "role_of", lambda _: "primary")


def places_are_told_in_every_mode(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(privacy, "may_locate", lambda _: True)


def the_switch_is_not_obeyed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(privacy, "set_mode", lambda *_: None)


def silent_cars_speak(patch: pytest.MonkeyPatch) -> None:
    """Their mode is known, and nothing follows from it."""
    patch.setattr(privacy, "SILENT_MODES", frozenset())


def calls_wait_like_all_else(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "enqueue_priority", Outbox.enqueue)


def what_has_crashed_drives_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(calls, "has_crashed", lambda _: False)
    patch.setitem(hooks.HEARD, "strands", ())


def every_country_has_a_breakdown_centre(patch: pytest.MonkeyPatch) -> None:
    countries = {code: msgspec.structs.replace(country, breakdown=True) for code, country in load_countries().items()}
    patch.setattr(cloud_calls, "load_countries", lambda: countries)


def nobody_needs_to_agree(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(SERVICES, SystemUpdate, replace(SERVICES[SystemUpdate], refusal=lambda *_: None))


def a_failed_wave_does_not_matter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Campaign, "_fails", lambda *_: False)


def a_download_begins_anew_after_each_pause(patch: pytest.MonkeyPatch) -> None:
    pause = updates.pause

    def forgetful(car: Car, now: Instant) -> None:
        pause(car, now)
        held = find(car, Updates)
        if held is not None and held.under_way is not None and held.under_way.step == "paused":
            held.under_way.done_mb = 0.0

    patch.setattr(updates, "pause", forgetful)
    hear_instead(patch, "network_lost", pause, forgetful)


def waiting_routes_are_not_offered(patch: pytest.MonkeyPatch) -> None:
    for event in ("engine_started", "network_found"):
        hear_instead(patch, event, routes.offer, lambda *_: None)


def the_list_has_no_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routes, "ROUTES_MOST", 1_000)


def zones_are_watched_all_day(patch: pytest.MonkeyPatch) -> None:
    """In both directions, too."""
    patch.setattr(area_alert.Watched, "wants", lambda *_, **__: True)


def zones_of_no_size_are_zones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "_arguments", lambda *_: None)


def every_car_is_new_enough(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "not_equipped", lambda *_: None)


def nobody_slows_down(patch: pytest.MonkeyPatch) -> None:
    """Any speed will do for the next alert."""
    patch.setattr(speed_alert, "AGAIN_BELOW_KMH", -1000.0)


def every_partner_is_told(patch: pytest.MonkeyPatch) -> None:
    """Chosen or not, closed or not, wanted or not."""
    patch.setattr(partners.Preference, "state", "active")


def a_light_can_be_lit_again(patch: pytest.MonkeyPatch) -> None:
    def arise(car: Car, name: FaultName, now: Instant) -> None:
        car.wear.faults = ()
        lit(car, name, now)

    lit = wear.arise
    patch.setattr(wear, "arise", arise)


def engines_start_without_adblue(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Powertrain, "drain_adblue", lambda *_: None)


def codes_never_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(enrolment, "QR_LASTS", DAY)


def any_code_opens(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(enrolment, "compare_digest", lambda *_: True)


def nobody_needs_to_accept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(enrolment, "TEXTS", {})


def one_key_is_enough(patch: pytest.MonkeyPatch) -> None:
    """The second key counts without the first."""

    def use_key(car: Car, key: str, now: Instant) -> None:
        car.send_event("key_presented", now, {"key": key})
        if key == "second":
            car_online.ask(car, "enrolment", {"way": "two_keys"}, now)

    patch.setattr(car_enrolment, "use_key", use_key)


def everybody_was_seen_by_a_dealer(patch: pytest.MonkeyPatch) -> None:
    rights_of = People.rights_of

    def identified(self: People, vin: str) -> CarRights | None:
        found = rights_of(self, vin)
        if found is None:
            return None
        users = {account: replace_struct(user, identified=True) for account, user in found.users.items()}
        return replace_struct(found, users=users)

    patch.setattr(People, "rights_of", identified)


def licences_never_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rights, "unlicensed", lambda *_: None)


def reminders_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(licences.Licences, "_reminder", lambda *_: [])


def the_fifteenth_day_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(terms, "WITHDRAWAL_DAYS", 15)


def nobody_is_screened(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sales, "is_listed", lambda *_: False)


def who_was_a_user_stays_one(patch: pytest.MonkeyPatch) -> None:
    """A take-over adds a primary user."""
    patch.setattr(at_home, "free", lambda car: car)


def factory_settings_free_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(at_home, "reset", lambda car, _number: car)


def what_is_open_is_still_told(patch: pytest.MonkeyPatch) -> None:
    """To whoever asked, a user or not."""
    patch.setattr(Desk, "_lost", lambda *_: [])


def nobody_hears_of_the_keys(patch: pytest.MonkeyPatch) -> None:
    """What is done in the car ends no enrolment."""
    patch.setattr(enrolment, "_by_keys", lambda *_: "")


@dataclass(frozen=True)
class Fault:
    """Something to be broken under a scenario, and one of the expectations that see it."""

    scenario: str
    plant: Callable[[pytest.MonkeyPatch], None]
    seen_by: str


FAULTS = (
    Fault("rush-hour", commands_are_slept_through, "commands.unknown / commands.total <= 3 %"),
    Fault("find-my-car", honk_a_kilometre_away, "commands.rejected.too_far / cars >= 2.4"),
    Fault("underground-car-park", the_outbox_is_emptied_underground, "lost == 0"),
    Fault("underground-car-park", garages_have_network, "below: always connected == 0"),
    Fault("geofence-evening", zones_are_watched_all_day, "events.area_alert / cars <= 130 %"),
    Fault("geofence-evening", zones_of_no_size_are_zones, "commands.rejected.argument_out_of_range / cars == 50 %"),
    Fault("geofence-evening", every_car_is_new_enough, "commands.rejected.not_equipped / cars == 20 %"),
    Fault("geofence-evening", nobody_slows_down, "events.speed_alert / cars <= 24 %"),
    Fault("geofence-evening", every_partner_is_told, "notices.fault / cars == 22.5 %"),
    Fault("geofence-evening", a_light_can_be_lit_again, "events.fault / cars <= 51 %"),
    Fault("geofence-evening", engines_start_without_adblue, "events.engine_not_started / cars == 10 %"),
    Fault("heater-morning", heaters_never_end, "afterwards: always connected / cars == 1"),
    Fault("heater-morning", heaters_burn_the_reserve, "commands.rejected.fuel_low / cars == 10 %"),
    Fault("broker-outage", what_was_under_way_is_taken_for_done, "lost == 0"),
    Fault("broker-outage", nobody_comes_back, "between: eventually connected / cars == 1"),
    Fault("long-weekend", waking_costs_nothing, "commands.rejected.power_budget / cars == 40 %"),
    Fault("long-weekend", the_clocks_are_not_changed, "commands.rejected.spin_required / cars == 1"),
    Fault("command-storm", two_of_a_kind_run_at_once, "commands.rejected.busy / cars >= 70 %"),
    Fault("overnight-charging", the_night_window_is_forgotten, "statuses_asked / cars == 30 %"),
    Fault("overnight-charging", the_limit_is_not_kept, "afterwards: always connected / cars == 1"),
    Fault("overnight-charging", all_places_are_alike, "afterwards: always connected / cars == 1"),
    Fault("overnight-charging", a_departure_is_no_reason_to_charge, "events.departure_ready / cars == 35 %"),
    Fault("overnight-charging", charging_needs_no_plug, "commands.rejected.not_plugged_in / cars == 10 %"),
    Fault("online-day", nobody_replies, "events.request_timed_out == 4"),
    Fault("online-day", what_nobody_waits_for_is_done, "notices.purchased == 10"),
    Fault("online-day", everybody_may_buy, "replies_failed.insufficient_rights == 3"),
    Fault("online-day", places_are_told_in_every_mode, "replies.parking_places == 10"),
    Fault("border", the_network_has_no_holes, "crossing: eventually offline / cars >= 30 %"),
    Fault("border", the_switch_is_not_obeyed, "commands.rejected.privacy_location / cars == 40 %"),
    Fault("border", silent_cars_speak, "statuses_engine_off / cars <= 65 %"),
    Fault("accident", calls_wait_like_all_else, "notices.ecall / cars == 1"),
    Fault("accident", what_has_crashed_drives_on, "events.engine_not_started / cars == 40 %"),
    Fault("accident", silent_cars_speak, "events.breakdown_call / cars == 60 %"),
    Fault("accident", every_country_has_a_breakdown_centre, "notices.breakdown_call / cars == 40 %"),
    Fault("winter-week", every_leon_has_the_menu, "events.heater_started / cars <= 180 %"),
    Fault("winter-week", timers_are_due_once, "events.heater_started / cars >= 155 %"),
    Fault("winter-week", comfort_empties_the_12_v_battery, "commands.rejected.battery_low / cars >= 28 %"),
    Fault("winter-week", climatisation_needs_no_charge, "commands.rejected.battery_low / cars >= 28 %"),
    Fault("family", what_the_primary_user_allows_is_nothing, "honk: rejected(insufficient_rights)"),
    Fault(
        "family", whoever_sits_in_a_car_is_its_primary_user, "ask: event request_failed (reason insufficient_rights) within 5 min"
    ),
    Fault("privacy-day", partners_want_no_consent_of_their_own, "services.rejected.consent_missing == 20"),
    Fault("privacy-day", nothing_is_switched_off, "commands.rejected.privacy_offline == 80"),
    Fault("licence-year", licences_never_end, "commands.rejected.licence_expired == 115"),
    Fault("licence-year", reminders_are_forgotten, "mails.licence_reminder == 1152"),
    Fault("licence-year", the_fifteenth_day_counts, "services.rejected.withdrawal_over == 7"),
    Fault("licence-year", nobody_is_screened, "services.rejected.sanctioned == 1"),
    Fault("new-owner", who_was_a_user_stays_one, "commands.rejected.insufficient_rights / cars >= 7.2"),
    Fault("new-owner", factory_settings_free_nothing, "mails.taken_over / cars <= 75 %"),
    Fault("new-owner", what_is_open_is_still_told, "commands.unknown / cars >= 20 %"),
    Fault("new-owner", nobody_hears_of_the_keys, "enrolments.succeeded / cars == 1"),
    Fault("ota-campaign", nobody_needs_to_agree, "notices.update_installed / cars <= 80 %"),
    Fault("ota-campaign", a_failed_wave_does_not_matter, "notices.campaign_halted == 1"),
    Fault("ota-campaign", a_download_begins_anew_after_each_pause, "notices.campaign_finished == 2"),
    Fault("registration-day", codes_never_end, "enrolments.succeeded / cars == 1"),
    Fault("registration-day", any_code_opens, "enrolments.succeeded / cars == 1"),
    Fault("registration-day", nobody_needs_to_accept, "enrolments.succeeded / cars == 1"),
    Fault("registration-day", one_key_is_enough, "enrolments.succeeded / cars == 1"),
    Fault("registration-day", everybody_was_seen_by_a_dealer, "commands.rejected.user_not_verified / cars >= 1 %"),
    Fault("right-to-be-forgotten", erased_cars_are_not_told, "dropped >= 100"),
    Fault("right-to-be-forgotten", erased_cars_are_heard, "events.car_reset == 0"),
    Fault("right-to-be-forgotten", whoever_was_erased_may_ask, "service account show: rejected(insufficient_rights)"),
    Fault("road-trip", waiting_routes_are_not_offered, "events.route_offered / cars == 80 %"),
    Fault("road-trip", the_list_has_no_end, "commands.rejected.list_full / cars == 30 %"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.scenario}-{fault.plant.__name__}")
def test_each_fails_when_what_it_shows_is_broken(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is failed, by the expectation that is there for it."""
    scenario = loaded(fault.scenario)
    fault.plant(monkeypatch)
    report = run(scenario, tmp_path)
    assert report["verdict"] == "failed"
    assert fault.seen_by in unmet(report)


def test_without_jitter_the_storm_fails(tmp_path: Path) -> None:
    """All come back in one instant: nobody is there in the first seconds, or everybody at once."""
    report = run(loaded("reconnect-storm", jitter="false"), tmp_path)
    assert report["verdict"] == "failed"
    assert unmet(report) <= {
        "first-seconds: eventually connected / cars >= 10 %",
        "first-seconds: always connected / cars <= 80 %",
    }


def test_a_killed_broker_costs_messages(tmp_path: Path) -> None:
    """What it had acknowledged and not written down is gone, unless cars keep it until it is stored."""
    report = run(loaded("broker-outage", outage="kill"), tmp_path)
    assert (report["verdict"], unmet(report)) == ("failed", {"lost == 0"})
