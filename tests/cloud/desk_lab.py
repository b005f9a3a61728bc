"""A desk under the test's control: plays the driver with a fake hash, and keeps what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import (
    Answer,
    CarAnswered,
    CarSeen,
    CommandAsked,
    CommandPublished,
    DeskInput,
    DeskOutput,
    HashSpin,
    PresenceChanged,
    SendCommand,
    SpinHash,
    SpinHashed,
    SpinSettingAsked,
    SpinVerified,
    StoreUser,
    Transition,
    UserRecord,
    VerifySpin,
)
from fleet.kernel.machine import Machine
from fleet.runtime.desk_codec import DeskCodec
from fleet.runtime.recording import Recorded, Write
from fleet.wire.messages import CommandRequest, DeskAnswer, Response, SetSpin

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"
START = 1_772_000_000_000_000
TOPIC = "fleet/v1/desk/answer/t"
WHERE = {"latitude": 41.5, "longitude": 2.0}
OutputT = TypeVar("OutputT")


def fake_hash(spin: str) -> SpinHash:
    return SpinHash(b"salt", spin[::-1].encode(), "fake")


class DeskLab:
    """`manual` leaves S-PIN work undone until `work_off`; `write` takes a journal."""

    def __init__(
        self, *, manual: bool = False, factor: float = 1.0, desk: Desk | None = None, write: Write | None = None
    ) -> None:
        self.factor = factor
        self.desk = desk or Desk(factor=factor)
        self._codec, self._write = DeskCodec(), write
        self.now = START
        self.manual = manual
        self.outputs: list[DeskOutput] = []
        self.work: list[VerifySpin | HashSpin] = []
        self.tokens = 0
        self.give(CarSeen(VIN))
        self.give(CarSeen(OTHER))
        self.give(PresenceChanged(VIN, "online"))

    @property
    def machine(self) -> Machine[DeskInput, DeskOutput]:
        """The desk, with its journal."""
        return self.desk if self._write is None else Recorded(self.desk, self._codec, self._write)

    def give(self, message: DeskInput) -> list[DeskOutput]:
        return self._keep(self.machine.receive(message, self.now))

    def _keep(self, kept: Sequence[DeskOutput]) -> list[DeskOutput]:
        outputs = list(kept)
        self.outputs += outputs
        self.work += [output for output in outputs if isinstance(output, VerifySpin | HashSpin)]
        if not self.manual:
            self.work_off()
        return outputs

    def work_off(self, number: int | None = None) -> None:
        """Do the S-PIN work that is waiting, at most `number` pieces of it."""
        while self.work and number != 0:
            work = self.work.pop(0)
            number = None if number is None else number - 1
            self.tokens += 1
            if isinstance(work, HashSpin):
                done: DeskInput = SpinHashed(work.job, fake_hash(work.spin))
            else:
                done = SpinVerified(work.job, fake_hash(work.spin) == work.against, f"token-{self.tokens}")
            self._keep(self.machine.receive(done, self.now))

    def wake(self, after: int) -> None:
        self.now += after
        while (deadline := self.desk.deadline()) is not None and deadline <= self.now:
            self._keep(self.machine.wake(self.now))

    def ask(self, request_id: str, name: str = "honk", vin: str = VIN, *, topic: str = TOPIC, **more: Any) -> DeskAnswer | None:
        """Ask and return the last answer to this id so far."""
        parameters = more.pop("parameters", WHERE if name == "honk" else {})
        self.give(CommandAsked(CommandRequest(id=request_id, vin=vin, name=name, parameters=parameters, **more), topic))
        return self.last(request_id)

    def set_spin(self, spin: str = "0000", vin: str = VIN, **more: Any) -> DeskAnswer | None:
        request_id = f"set-{len(self.outputs)}"
        self.give(SpinSettingAsked(SetSpin(id=request_id, vin=vin, spin=spin, **more), TOPIC))
        return self.last(request_id)

    def car(self, command_id: str, state: Any, vin: str = VIN, **more: Any) -> None:
        more = {"awake": True} | more
        response = Response(
            vin=vin,
            boot=1,
            seq=1,
            captured_at=self.now,
            command_id=command_id,
            name="honk",
            state=state,
            awake=more.pop("awake", True),
            **more,
        )
        self.give(CarAnswered(response))

    def published(self, command_id: str, refused: str | None = None) -> None:
        self.give(CommandPublished(command_id, refused))

    def of(self, kind: type[OutputT]) -> list[OutputT]:
        return [output for output in self.outputs if isinstance(output, kind)]

    def answers(self, request_id: str) -> list[DeskAnswer]:
        return [output.answer for output in self.of(Answer) if output.answer.id == request_id]

    def last(self, request_id: str) -> DeskAnswer | None:
        answers = self.answers(request_id)
        return answers[-1] if answers else None

    def states(self, command_id: str) -> list[str]:
        return [change.state for change in self.of(Transition) if change.command_id == command_id]

    def sent(self, command_id: str) -> list[SendCommand]:
        return [output for output in self.of(SendCommand) if output.command.id == command_id]

    def users(self) -> dict[tuple[str, str], UserRecord]:
        return {(output.user.vin, output.user.name): output.user for output in self.of(StoreUser)}


def outcome(answer: DeskAnswer | None) -> tuple[str, str | None]:
    assert answer is not None
    return answer.state, answer.reason
