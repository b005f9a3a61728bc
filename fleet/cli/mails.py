"""Shows the mails and pushes that people got, and has one sent again."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any, Final, get_args

import typer

from fleet.backend.mail.deliverer import SERVICE
from fleet.backend.mail.letter import NotDelivered
from fleet.backend.mail.texts import worded
from fleet.backend.reader import MailRow, StoreReader
from fleet.cli.common import MOST_ROWS, WATCH, AsJson, StorePath, make_table, out
from fleet.cli.connecting import BrokerOptions
from fleet.cli.printing import json_text
from fleet.cli.tools import asking_desk, find_store, reach_desk, tell_outcome
from fleet.cloud.dispatcher import MailState
from fleet.cloud.people.mails import MAILS
from fleet.errors import UnknownName, UsageError
from fleet.kernel.instants import format_instant
from fleet.runtime.asking import FIRST_ANSWER_S, ask_desk
from fleet.wire.messages import ServiceRequest

app = typer.Typer()
mail_app = typer.Typer()
app.add_typer(mail_app, name="mail", rich_help_panel=WATCH)

_STATES: Final = get_args(MailState)
MailId = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="Number of the mail; fleet mail list shows it.")]


def _known_kind(kind: str | None) -> str | None:
    if kind is not None and kind not in MAILS:
        raise UnknownName("kind of mail", kind, MAILS)
    return kind


def _known_state(state: str | None) -> str | None:
    if state is not None and state not in _STATES:
        raise UnknownName("state of a mail", state, _STATES)
    return state


@mail_app.callback(help="Mails and pushes to people.")
def _mail() -> None:
    """Say what the group is for."""


@mail_app.command("list")
def list_mails(
    person: Annotated[str | None, typer.Option("--person", metavar="WHO", help="Only to this account or e-mail address.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Such as invoice.", callback=_known_kind)] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help=f"One of {', '.join(_STATES)}.", callback=_known_state)
    ] = None,
    store: StorePath = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Most rows to show, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the mails and pushes of the outbox, the newest first.

    Examples: fleet mail list

    fleet mail list --person anna@example.org --kind licence_reminder

    fleet mail list --state failed --json
    """
    with StoreReader(find_store(store)) as reader:
        rows = reader.mails(person=person, kind=kind, state=state, limit=limit)
    if as_json:
        out.print_json(json_text([_plain(row) for row in rows]))
        return
    table = make_table("id", "at", "to", "kind", "language", "state", "tries", "content")
    for row in rows:
        what = row.error or _subject(row)
        table.add_row(
            str(row.id), format_instant(row.at)[:19], _receiver(row), row.kind, row.language, row.state, str(row.tries), what
        )
    out.print(table)


@mail_app.command("show")
def show(mail_id: MailId, store: StorePath = None, as_json: AsJson = False) -> None:
    """Show a mail or push in its words, but for the secret of a link in it.

    Examples: fleet mail show 17

    fleet mail show 17 --json
    """
    with StoreReader(find_store(store)) as reader:
        row = reader.mail(mail_id)
    if row is None:
        raise UsageError(f"there is no mail {mail_id}", hint="fleet mail list shows those that there are.")
    try:
        text = worded(row.letter())
    except NotDelivered as error:
        raise UsageError(f"mail {mail_id} has no words: {error}", hint="fleet mail list --json shows what is stored.") from None
    if as_json:
        out.print_json(json_text(_plain(row) | {"subject": text.subject, "body": text.body}))
        return
    for name, value in (
        ("To", _receiver(row)), ("Subject", text.subject), ("Date", format_instant(row.at)[:19]), ("Kind", row.kind),
        ("State", row.state), ("Error", row.error),
    ):  # fmt: skip
        if value:
            out.say(f"{name}: {value}")
    out.say(f"\n{text.body}", end="")


@mail_app.command("retry")
@asking_desk
def retry(*, mail_id: MailId, connection: BrokerOptions, store: StorePath = None, as_json: AsJson = False) -> None:
    """Have a mail sent again that has failed, or of which nobody knows whether it has arrived; it keeps its Message-ID.

    Examples: fleet mail retry 17

    fleet mail retry 17 --store runs/latest/store.sqlite
    """
    request = ServiceRequest(id=secrets.token_hex(12), service=SERVICE, action="retry", data={"id": mail_id})
    answer = asyncio.run(ask_desk(reach_desk(connection, store), request, timeout_s=FIRST_ANSWER_S))
    tell_outcome(f"mail {mail_id} retry", answer, as_json)


def _plain(row: MailRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _receiver(row: MailRow) -> str:
    return row.address or row.account


def _subject(row: MailRow) -> str:
    try:
        return worded(row.letter()).subject
    except NotDelivered:
        return ""
