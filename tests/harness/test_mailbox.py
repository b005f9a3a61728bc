"""Mailboxes in a test: what came, in its order and its words, and what is told when nothing does."""

from __future__ import annotations

import pytest

from fleet.harness import ExpectationFailed, virtual_world


async def test_each_mail_is_taken_once_in_its_order() -> None:
    async with virtual_world() as fleet:
        bert = await fleet.person("bert", registered=False, language="de")
        assert bert.mailbox.mails == []
        assert bert.account == ""
        await bert.register()
        await bert.ask("account", "settings", push=True).succeeds()
        await bert.log_in()
        mail = await bert.mailbox.gets("confirm_address")
        assert mail.subject == "Bitte bestätigen Sie Ihre E-Mail-Adresse"
        assert mail.link.startswith("https://fleet.example/confirm_address/fleet_")
        assert mail.link not in repr(mail)
        assert bert.account.startswith("p")
        new_device = await bert.mailbox.gets("new_device")
        push = await bert.mailbox.gets("new_device")
        assert (new_device.channel, push.channel) == ("mail", "push")
        assert push.text == new_device.text
        assert push.link == ""
        assert bert.mailbox.kinds == ["confirm_address", "new_device", "new_device"]
        with pytest.raises(
            ExpectationFailed, match="bert got no mail of the kind confirm_address within 1 min; since the last: none"
        ):
            await fleet.mailbox(bert).gets("confirm_address", within="1 min")


async def test_nobody_reads_the_mail_of_others() -> None:
    async with virtual_world() as fleet:
        anna, bert = await fleet.person("anna"), await fleet.person("bert")
        await anna.log_in()
        assert anna.mailbox.kinds == ["new_device"]
        assert bert.mailbox.kinds == []
