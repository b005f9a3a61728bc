"""People in a test: roles, enrolment, sessions and mailboxes; what is expected otherwise is told with the reason."""

from __future__ import annotations

import pytest

from fleet.errors import UnknownName, UsageError
from fleet.harness import ExpectationFailed, virtual_world
from fleet.scenario.persons import MISTAKES, EnrolWay, Mistake


async def test_a_guest_honks_and_is_refused() -> None:
    """The car gets a primary user beside the guest, who may do it."""
    async with virtual_world() as fleet:
        car = await fleet.car("Born")
        guest = await fleet.person("gus", role="guest", language="sv")
        await guest.honk(car, from_m=10).is_refused("insufficient_rights")
        owner = await fleet.person("olga")
        await owner.honk(car, from_m=10).is_refused("insufficient_rights")
        assert fleet.mailbox(guest).kinds == ["user_added"]
        mail = await fleet.mailbox(guest).gets("user_added")
        assert (mail.language, mail.subject, mail.vin) == ("sv", "Du kan nu använda en bil", car.vin)
        assert "gäst" in mail.text


async def test_the_primary_user_locks_and_one_whom_no_dealer_has_seen_does_not() -> None:
    async with virtual_world() as fleet:
        car, other = await fleet.car("Born"), await fleet.car("Born")
        anna = await fleet.person("anna", role="primary", car=car)
        bert = await fleet.person("bert", role="primary", car=other, verified=False)
        await anna.lock(car).succeeds()
        await anna.lock(car, spin="0000" if anna.spin != "0000" else "1111").is_refused("spin_wrong")
        await anna.lock(car, spin=None).is_refused("spin_required")
        await bert.lock(other).is_refused("user_not_verified")
        await anna.lock(other).is_refused("insufficient_rights")


async def test_an_additional_user_may_what_the_primary_allows() -> None:
    async with virtual_world() as fleet:
        car = await fleet.car("Born")
        anna = await fleet.person("anna", role="primary")
        bea = await fleet.person("bea", role="additional", allowed=["honk"])
        await bea.honk(car, from_m=10).succeeds()
        await bea.lock(car).is_refused("insufficient_rights")
        await anna.ask("users", "allow", car, user=bea.email, services=["lock"]).succeeds()
        await bea.lock(car).succeeds()
        await bea.ask("users", "allow", car, user=bea.email, services=["honk"]).is_refused("insufficient_rights")


@pytest.mark.parametrize(
    ("model", "by", "media"),
    [
        ("Born", "qr", "navi_system"),
        ("Leon", "assistant", "navi_system"),
        ("Leon", "two_keys", "media_system"),
        ("Ateca", "code", "media_system"),
    ],
)
async def test_somebody_enrols_a_car_and_another_takes_it_over(model: str, by: EnrolWay, media: str) -> None:
    """The token of the one before is worth nothing from then on; both are told."""
    async with virtual_world() as fleet:
        car = await fleet.car(model, media=media)
        anna = await fleet.person("anna")
        await anna.enrol(car)
        await anna.log_in()
        await anna.app.honk(car, from_m=10).succeeds()
        bert = await fleet.person("bert", registered=False, language="de")
        await bert.register()
        link = await bert.mailbox.gets("confirm_address")
        assert link.link.startswith("https://fleet.example/confirm_address/fleet_")
        await bert.enrol(car, by=by)
        await anna.app.honk(car, from_m=10).is_refused("insufficient_rights")
        await bert.honk(car, from_m=10).succeeds()
        await anna.mailbox.gets("taken_over")
        enrolled = await bert.mailbox.gets("enrolled")
        assert enrolled.data["model"] == model


async def test_a_refusal_to_enrol_is_expected_or_told() -> None:
    async with virtual_world() as fleet:
        car = await fleet.car("Born")
        anna = await fleet.person("anna")
        await anna.enrol(car, by="code", refused="wrong_way")
        with pytest.raises(
            ExpectationFailed, match=r"anna enrols VSS\w+ by code: succeeded was expected, and it rejected\(wrong_way\)"
        ):
            await anna.enrol(car, by="code")
        await anna.enrol(car)
        with pytest.raises(ExpectationFailed, match=r"rejected\(wrong_way\) was expected"):
            await anna.enrol(car, refused="wrong_way")


@pytest.mark.parametrize("mistake", MISTAKES["qr"])
async def test_a_mistake_is_made_first_and_refused(mistake: Mistake) -> None:
    async with virtual_world() as fleet:
        car = await fleet.car("Born")
        anna = await fleet.person("anna")
        with pytest.raises(UnknownName, match="mistake on the way qr"):
            await anna.enrol(car, mistake="second_key_first")
        await anna.enrol(car, mistake=mistake)
        await anna.lock(car).succeeds()


async def test_somebody_logs_in_on_the_screen_of_a_car() -> None:
    async with virtual_world() as fleet:
        car = await fleet.car("Leon", media="navi_system")
        anna = await fleet.person("anna", role="primary")
        await anna.log_in_car(car, spin="wrong", refused="spin_wrong")
        await anna.log_in_car(car)
        await car.wait_for_event("user_logged_in", user=anna.account)
        with pytest.raises(ExpectationFailed, match=r"logs in to .*rejected\(spin_wrong\)"):
            await anna.log_in_car(car, spin="wrong")


async def test_a_session_that_is_over_is_refused() -> None:
    """A changed password ends those of all other devices."""
    async with virtual_world() as fleet:
        car = await fleet.car("Born")
        anna = await fleet.person("anna", role="primary")
        await anna.log_in()
        await anna.app.honk(car, from_m=10).succeeds()
        await anna.ask("account", "change_password").succeeds()
        refused = await anna.app.honk(car, from_m=10).outcome()
        assert refused.state == "rejected"
        await anna.log_in()
        await anna.app.honk(car, from_m=10).succeeds()
        await anna.ask("account", "log_in", wrong=["password"], device="x").is_refused("wrong_credentials")


async def test_a_licence_that_ends_tonight() -> None:
    """It is reminded of, ends, and then the service is refused; what the law requires goes on."""
    async with virtual_world() as fleet:
        car = await fleet.car("Leon", media="media_system")
        anna = await fleet.person("anna", role="primary", licence_age="364 d")
        await anna.honk(car, from_m=10).succeeds()
        await fleet.clock.advance(days=2)
        await anna.mailbox.gets("licence_reminder")
        await anna.honk(car, from_m=10).is_refused("licence_expired")


async def test_what_means_nothing_is_told() -> None:
    async with virtual_world() as fleet:
        await fleet.car("Born")
        anna = await fleet.person("anna")
        with pytest.raises(UsageError, match="already"):
            await fleet.person("anna")
        with pytest.raises(UnknownName, match="role"):
            await fleet.person("bert", role="driver")  # type: ignore[arg-type]
        with pytest.raises(UnknownName, match="action of users"):
            anna.ask("users", "invit")
        with pytest.raises(UnknownName, match="service of the back end"):
            anna.ask("user", "invite")
        with pytest.raises(UsageError, match="no account"):
            await fleet.person("carl", role="guest", registered=False)
        await fleet.car("Born")
        with pytest.raises(UsageError, match="of which car"):
            await fleet.person("dora", role="guest")


async def test_without_a_back_end_there_are_no_people() -> None:
    async with virtual_world(backend=False) as fleet:
        with pytest.raises(UsageError, match="this world has none"):
            await fleet.person("anna")
