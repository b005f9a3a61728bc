"""A person's data in one archive, each table as JSON and as CSV: what that person may see, and no secret."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet.backend.positions import positions_in
from fleet.backend.reader import StoreReader
from fleet.backend.seeing import NotVisible, SeenBy
from fleet.cloud.people.people import RULE, People
from fleet.cloud.rule import Notes
from fleet.cloud.sight import OF_OWNER
from fleet.errors import UsageError
from fleet.kernel.instants import format_instant

ALL: Final = 2**31 - 1
_SECRET: Final = frozenset({"password", "password_version", "refresh", "refresh_ends", "code", "secret"})
_STAMP: Final = (1980, 1, 1, 0, 0, 0)
"""In a ZIP file the same data are the same bytes, whenever they are written."""
Table = list[dict[str, Any]]


def tables_of(reader: StoreReader, account_id: str) -> dict[str, Table]:
    """Return all of a person's data by table. Raises UsageError for an account that the store does not know."""
    people = People(Notes(reader.service_state(RULE)))
    account = people.accounts.get(account_id)
    if account is None:
        raise UsageError(f"the store knows no account {account_id}", hint="Is it that of the fleet that was asked? Give --store.")
    seen = SeenBy(reader, account_id)
    vins = sorted(people.cars_of(account_id))
    own = {vin: people.cars[vin].users[account_id].since for vin in vins if people.cars[vin].primary == account_id}
    messages = [row for vin in vins for row in _messages(reader, seen, vin, own.get(vin))]
    plain = msgspec.to_builtins
    return {
        "account": [_without_secrets(plain(account), "consents", "devices")],
        "consents": [plain(consent) for consent in account.consents],
        "devices": [{"device": device} for device in account.devices],
        "sessions": [_without_secrets(plain(each)) for each in people.sessions.values() if each.account == account_id],
        "cars": [_car(plain(people.cars[vin]), account_id) for vin in vins],
        "licences": [{"vin": vin, **plain(licence)} for vin in vins for licence in people.cars[vin].licences],
        "switches": [{"vin": vin, **plain(each)} for vin in vins for each in people.cars[vin].switches if each.who == account_id],
        "purchases": [plain(each) for each in people.purchases.values() if each.account == account_id],
        "invoices": [plain(each) for each in people.invoices.values() if each.account == account_id],
        "messages": messages,
        "positions": [
            {"vin": row["vin"], "at": row["at"], "latitude": latitude, "longitude": longitude}
            for row in messages
            for latitude, longitude in positions_in(row["content"])
        ],
        "trips": [row for row in messages if row["kind"] == "event" and str(row["name"]).startswith("trip")],
        "commands": [
            {
                "id": row.id, "vin": row.vin, "name": row.name, "parameters": row.parameters, "state": row.state,
                "reason": row.reason, "asked_at": row.asked_at, "changed_at": row.changed_at,
            }
            for row in reader.commands(limit=ALL)
            if row.user in {account_id, account.email, account.user_name, account.mobile} - {""}
        ],
        "notices": [
            {"vin": row.vin, "kind": row.kind, "data": row.data, "at": row.at}
            for vin in vins
            for row in _notices(reader, seen, vin, own.get(vin))
        ],
        "mails": [
            {"kind": row.kind, "address": row.address, "channel": row.channel, "vin": row.vin, "data": row.data, "at": row.at}
            for row in reader.mails(person=account_id, limit=ALL)
        ],
    }  # fmt: skip


def _messages(reader: StoreReader, seen: SeenBy, vin: str, since: int | None) -> Table:
    """Return the messages of a car in the order of their measuring: of an own car all since then, of others what may be seen.

    The right to one's own data is no service: no licence that is over, and no switch to privacy, keeps an owner from it (ours).
    """
    try:
        rows = seen.history(vin, limit=ALL) if since is None else reader.history(vin, limit=ALL, since=since)
    except NotVisible:
        return []
    return [
        {"vin": row.vin, "at": row.captured_at, "kind": row.kind, "name": row.name or row.trigger, "content": row.content}
        for row in reversed(rows)
    ]


def _notices(reader: StoreReader, seen: SeenBy, vin: str, since: int | None) -> Sequence[Any]:
    if since is not None:
        return [row for row in reader.notices(vin=vin, limit=ALL) if row.to in OF_OWNER and row.at >= since]
    try:
        return seen.notices(vin=vin, limit=ALL)
    except NotVisible:
        return ()


def _car(car: Mapping[str, Any], account: str) -> dict[str, Any]:
    """Return what is kept of a car for one of its users: nothing of the others."""
    told = ("vin", "model", "generation", "navi", "country", "registered", "mode", "services_off")
    return {**{name: car[name] for name in told if name in car}, **car["users"][account]}


def _without_secrets(record: Mapping[str, Any], *apart: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _SECRET and name not in apart}


def write_archive(path: Path, tables: Mapping[str, Table]) -> None:
    """Write the archive, whole or not at all, readable by its owner only. Raises OSError, also when there is such a file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in tables.items():
            _put(archive, f"{name}.json", msgspec.json.format(msgspec.json.encode(rows), indent=2))
            _put(archive, f"{name}.csv", _csv_of(rows).encode())
    path.touch(mode=0o600, exist_ok=False)
    try:
        path.write_bytes(content.getvalue())
    except OSError:
        path.unlink()
        raise


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _STAMP)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
    archive.writestr(info, content)


def _csv_of(rows: Table) -> str:
    """Write rows with a line of names; what is a list or a table in itself as JSON, times as people read them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_cell(name, row.get(name)) for name in names] for row in rows)
    return text.getvalue()


_TIMES: Final = frozenset({"at", "asked_at", "changed_at", "since", "began", "used", "ends", "begins", "registered", "activated"})


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if name in _TIMES and isinstance(value, int):
        return format_instant(value)
    # A text that a spreadsheet would take for a formula is none.
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value


def counts_of(tables: Mapping[str, Iterable[Any]]) -> dict[str, int]:
    """Return how many rows each table has."""
    return {name: len(list(rows)) for name, rows in tables.items()}
