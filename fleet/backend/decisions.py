"""Writes decisions of desk and service centre as rows of the store. Opens no file and no transaction."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import msgspec

from fleet.backend.forgetting import forget
from fleet.backend.mail.letter import Letter
from fleet.backend.schema import NULL
from fleet.cloud.car_settings import MODULE
from fleet.cloud.desk_io import CommandOpened, KeepSettings, LateResult, RemoveUser, StoreUser, Transition
from fleet.cloud.dispatcher import MailNoted, MailState
from fleet.cloud.rule import Erase, Keep, Notify
from fleet.kernel.instants import Instant
from fleet.wire.messages import TERMINAL_STATES, DeskAnswer, Reply


class ReplyGiven(NamedTuple):
    """A reply that is to be published to a car; until the broker has taken it, it is published again after a restart."""

    vin: str
    reply: Reply
    at: Instant
    expires_at: Instant


class ReplyPublished(NamedTuple):
    """The broker has taken a reply, or refused it."""

    vin: str
    request_id: str


class AnswerGiven(NamedTuple):
    """A final answer to a tool; until the broker has taken it, it is published again after a restart. Holds no token."""

    topic: str
    answer: DeskAnswer


class AnswerPublished(NamedTuple):
    """The broker has taken an answer or refused it, or the answer is of no use any more."""

    topic: str
    request_id: str


class MailPosted(NamedTuple):
    """A new mail or push in the outbox: `waiting` for its delivery, or `kept` where nothing is delivered."""

    letter: Letter
    state: MailState


StoredWrite = (
    CommandOpened
    | Transition
    | LateResult
    | StoreUser
    | RemoveUser
    | KeepSettings
    | Notify
    | Keep
    | Erase
    | ReplyGiven
    | ReplyPublished
    | AnswerGiven
    | AnswerPublished
    | MailPosted
    | MailNoted
)
"""Decisions of desk and service centre that are stored."""


class Decided(NamedTuple):
    """A write with its part that is kept as JSON, None where there is none, and the wall time of its decision."""

    write: StoredWrite
    text: str | None
    wall_us: int


def decided(write: StoredWrite, wall_us: int) -> Decided:
    """Return it with all encoded, so that nothing that cannot be kept gets into a batch. Raises whatever is wrong with it."""
    content: Any
    match write:
        case CommandOpened(record=record):
            content = record.parameters
        case KeepSettings(settings=settings):
            content = settings
        case Notify(data=data):
            content = data
        case ReplyGiven(reply=reply):
            content = reply.data
        case AnswerGiven(answer=answer):
            content = answer
        case MailPosted(letter=letter):
            content = letter.data
        case _:
            return Decided(write, None, wall_us)
    return Decided(write, msgspec.json.encode(content).decode(), wall_us)


def write_decision(connection: sqlite3.Connection, decision: Decided) -> None:
    """Write it, in the transaction that is open."""
    write, text, wall_us = decision
    match write:
        case CommandOpened(record=record):
            connection.execute(
                "INSERT INTO command (id, vin, name, user, parameters, answer_topic, asked_at, expires_at, changed_at,"
                " due_wall_us, asked_wall_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (
                    record.id, record.vin, record.name, record.user, text,
                    record.answer_topic, record.asked_at, record.expires_at, record.asked_at, record.due_wall_us, wall_us,
                ),
            )  # fmt: skip
        case Transition():
            _write_transition(connection, write, wall_us)
        case LateResult():
            result = write.state if write.reason is None else f"{write.state}({write.reason})"
            connection.execute(
                "UPDATE command SET late_result = ?, late_at = ? WHERE id = ? AND vin = ? AND late_result IS NULL"
                " AND decided_by = 'desk' AND state IN ('expired', 'unknown')",
                (result, write.at, write.command_id, write.vin),
            )
        case RemoveUser(vin=vin, name=name):
            connection.execute("DELETE FROM user WHERE vin = ? AND name = ?", (vin, name))
        case KeepSettings(vin=vin):
            _write_service(connection, Keep(MODULE, vin, text), text, wall_us)
        case StoreUser(user=user):
            spin = (None, None, None) if user.spin is None else (user.spin.salt, user.spin.digest, user.spin.cost)
            connection.execute(
                "INSERT OR REPLACE INTO user (vin, name, role, salt, digest, cost, wrong_tries, locked, given_boot, given_seq)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (user.vin, user.name, user.role, *spin, user.wrong_tries, user.locked, *user.given),
            )
        case Erase():
            forget(connection, write)
        case Notify() | Keep() | ReplyGiven() | ReplyPublished():
            _write_service(connection, write, text, wall_us)
        case AnswerGiven(topic=topic, answer=answer):
            connection.execute(
                "INSERT OR REPLACE INTO answer (topic, request_id, answer, wall_us) VALUES (?, ?, ?, ?)",
                (topic, answer.id, text, wall_us),
            )
        case AnswerPublished():
            connection.execute("DELETE FROM answer WHERE topic = ? AND request_id = ?", write)
        case MailPosted() | MailNoted():
            _write_mail(connection, write, text, wall_us)


def _write_service(
    connection: sqlite3.Connection, write: Notify | Keep | ReplyGiven | ReplyPublished, text: str | None, wall_us: int
) -> None:
    match write:
        case Notify():
            connection.execute(
                "INSERT INTO notice (vin, recipient, kind, data, at, wall_us) VALUES (?, ?, ?, ?, ?, ?)",
                (write.vin, write.to, write.kind, text, write.at, wall_us),
            )
        case Keep(module=module, key=key, value=None):
            connection.execute("DELETE FROM service_state WHERE module = ? AND key = ?", (module, key))
        case Keep():
            connection.execute("INSERT OR REPLACE INTO service_state VALUES (?, ?, ?)", (write.module, write.key, write.value))
        case ReplyGiven(reply=reply):
            # A car that used an id twice gets no second answer: it could not tell which question it belongs to.
            connection.execute(
                "INSERT OR IGNORE INTO reply (vin, request_id, name, error, data, at, expires_at, wall_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    write.vin, reply.id, reply.name, reply.error, text, write.at,
                    write.expires_at, wall_us,
                ),
            )  # fmt: skip
        case ReplyPublished():
            connection.execute(
                "UPDATE reply SET published_wall_us = ? WHERE vin = ? AND request_id = ?", (wall_us, write.vin, write.request_id)
            )


def _write_mail(connection: sqlite3.Connection, write: MailPosted | MailNoted, text: str | None, wall_us: int) -> None:
    """Put a mail into the outbox, or note how it stands.

    What was sent, or is only kept, needs the secret of its link no more, nor the address of somebody without an account.
    """
    match write:
        case MailPosted(letter=letter, state=state):
            secret = letter.secret if state == "waiting" else ""
            address = letter.address if state == "waiting" or letter.account else ""
            connection.execute(
                "INSERT INTO mail (id, account, address, language, kind, data, secret, vin, channel, at, wall_us, state, tries,"
                " next_wall_us, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '')",
                (
                    letter.id, letter.account, address, letter.language, letter.kind, text, secret, letter.vin,
                    letter.channel, letter.at, letter.made, state, letter.made,
                ),
            )  # fmt: skip
        case MailNoted():
            connection.execute(
                "UPDATE mail SET state = :state, tries = :tries, next_wall_us = :due, error = :error,"
                " sent_wall_us = CASE WHEN :state = 'sent' THEN :wall END,"
                " secret = CASE WHEN :state = 'sent' THEN '' ELSE secret END,"
                " address = CASE WHEN :state = 'sent' AND account = '' THEN '' ELSE address END WHERE id = :id",
                {
                    "state": write.state, "tries": write.tries, "due": write.due, "error": write.error, "wall": wall_us,
                    "id": write.id,
                },
            )  # fmt: skip


def _write_transition(connection: sqlite3.Connection, change: Transition, wall_us: int) -> None:
    """Move the command on and keep the step. A command that has ended is not touched, whatever the desk believes."""
    queued, sent = int(change.state == "queued"), int(change.state == "sent")
    reason = NULL if change.reason is None else change.reason
    detail = NULL if change.detail is None else change.detail
    moved = connection.execute(
        "UPDATE command SET state = :state, reason = :reason, detail = :detail, decided_by = :by, awake = :awake,"
        " changed_at = :at,"
        # Time to live counts from the moment the command was queued.
        " expires_at = CASE WHEN :queued THEN expires_at - asked_at + :at ELSE expires_at END,"
        " sent_wall_us = CASE WHEN :sent THEN :wall ELSE sent_wall_us END,"
        " first_answer_wall_us = CASE WHEN :by = 'car' THEN coalesce(first_answer_wall_us, :wall)"
        " ELSE first_answer_wall_us END,"
        " ended_wall_us = CASE WHEN :ended THEN :wall END"
        " WHERE id = :id AND ended_wall_us IS NULL",
        {
            "id": change.command_id, "state": change.state, "reason": reason, "detail": detail, "by": change.by,
            "awake": NULL if change.awake is None else int(change.awake), "at": change.at, "queued": queued, "sent": sent,
            "wall": wall_us, "ended": int(change.state in TERMINAL_STATES),
        },
    )  # fmt: skip
    if moved.rowcount:
        connection.execute(
            "INSERT INTO command_transition (command_id, state, reason, detail, decided_by, at, wall_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (change.command_id, change.state, reason, detail, change.by, change.at, wall_us),
        )
