"""Runs the service centre: gives it what is new and the time, and passes on what it wants stored, sent and asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleet.backend.context import BackendContext
from fleet.backend.decisions import ReplyGiven, ReplyPublished
from fleet.backend.desk_driver import DeskDriver
from fleet.backend.machine_driver import MachineDriver
from fleet.backend.mail.deliverer import SERVICE as MAIL_SERVICE
from fleet.backend.mail.deliverer import MailDeliverer
from fleet.backend.store import Loaded
from fleet.cloud.centre import ServiceCentre, vins_of
from fleet.cloud.desk import LONGEST_EXPIRY_S, LONGEST_ID, SHORTEST_EXPIRY_S
from fleet.cloud.desk_io import Answer, ForgetSpin, KeepSpin, RightsChanged, UnlockSpin
from fleet.cloud.failures import FAILURE_KINDS
from fleet.cloud.people.people import People
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.registry import RULES
from fleet.cloud.rule import AskCar, CentreInput, CentreOutput, CommandEnded, Keep, Mail, Notify, Rule, SendReply, ServiceAsked
from fleet.cloud.spin_guard import MISPLACED, looks_like_spin
from fleet.kernel.instants import LATEST, Instant
from fleet.kernel.machine import Machine
from fleet.wire.messages import DeskAnswer, Event, Request, ServiceRequest


class CentreDriver:
    """The service centre in an event loop. What it decides goes into the batch of the context."""

    def __init__(
        self,
        context: BackendContext,
        desk: DeskDriver,
        mails: MailDeliverer,
        loaded: Loaded,
        *,
        rules: Sequence[type[Rule]] = RULES,
    ) -> None:
        """Take the centre up where the store left it; the desk knows the cars, and sends the commands that the centre wants.

        `mails` delivers its mails and pushes.
        """
        self._context = context
        self._clock = context.clock
        self._desk = desk
        self._mails = mails
        self._rules = rules
        self._machine = MachineDriver("service centre", self._take_up(loaded), context, self._perform)
        context.command_ended.append(self.feed)
        desk.people = self._people

    def _take_up(self, loaded: Loaded) -> Machine[CentreInput, CentreOutput]:
        """Begin from the store, and return the machine to drive."""
        self._centre = centre = ServiceCentre(self._rules, loaded.services)
        self.wants = centre.wants
        """Tells whether the centre is to be given a message, should it be new."""
        self._unpublished = loaded.replies
        return self._context.recorder.centre(centre, loaded.services)

    def _people(self) -> People | None:
        rule = self._centre.find(PeopleRule)
        return None if rule is None else rule.people

    def begin_anew(self, loaded: Loaded) -> None:
        """Begin from the store in the middle of the run: what it does not hold has not been."""
        self._machine.replace(self._take_up(loaded))
        self._mails.begin_anew(loaded)
        self._go_on()

    def start(self) -> None:
        """Go on with replies, mails and deadlines."""
        self._mails.start()
        self._go_on()

    def _go_on(self) -> None:
        """Publish again the replies of which nobody knows whether the broker took them, as long as they are of use."""
        unpublished, self._unpublished = self._unpublished, []
        now = self._clock.now()
        for given in unpublished:
            if given.expires_at > now:
                self._context.after_commit(given)
        self._machine.rearm()
        self._context.changed()

    def close(self) -> None:
        """Stop the timers."""
        self._machine.cancel()
        self._mails.close()

    def feed(self, message: Event | Request | CommandEnded) -> None:
        """Give the centre an input and perform what comes out."""
        self._give(message)

    def ask(self, request: ServiceRequest, answer_topic: str) -> None:
        """Take what a tool asks."""
        if any(map(looks_like_spin, _words_of(request))):
            self._context.answer(answer_topic, DeskAnswer(
                id=request.id[:LONGEST_ID], state="rejected", reason=MISPLACED.reason, detail=MISPLACED.detail, final=True,
                at=self._clock.now(),
            ))  # fmt: skip
            return
        if request.service == MAIL_SERVICE:
            self._mails.ask(request, answer_topic, self._clock.now())
            return
        unknown = tuple(vin for vin in vins_of(request) if not self._desk.knows(vin))
        self._give(ServiceAsked(request, answer_topic, unknown))

    def replied(self, given: ReplyGiven) -> None:
        """Note that the broker knows of a reply."""
        self._context.write(ReplyPublished(given.vin, given.reply.id))
        self._context.changed()

    def expiry_s(self, until: Instant) -> int:
        """Return how many wall seconds the broker keeps what is of use until then."""
        return min(max(self._clock.wall_s_until(until), SHORTEST_EXPIRY_S), LONGEST_EXPIRY_S)

    def clock_changed(self) -> None:
        """See when the next deadline comes now."""
        self._machine.cancel()
        self._machine.rearm()

    def _give(self, message: CentreInput) -> None:
        now = None
        if isinstance(message, Event | Request) and not self._clock.is_known:  # cars may be heard before it is announced
            now = min(message.captured_at, LATEST)
        self._machine.give(message, now)

    def _perform(self, outputs: Iterable[CentreOutput]) -> None:
        pending, now, wall_us = self._context.pending, self._clock.now(), self._context.wall_us()
        asked: list[AskCar] = []
        for output in outputs:
            match output:
                case SendReply():
                    given = ReplyGiven(output.vin, output.reply, now, now + output.lifetime)
                    pending.write(given, wall_us)
                    pending.after_commit(given)
                case Notify() | Keep():
                    pending.write(output, wall_us)
                    if isinstance(output, Notify) and output.kind in FAILURE_KINDS:
                        self._tell_failure(output)
                case Answer(topic=topic, answer=answer):
                    pending.answer(topic, answer, wall_us)
                case Mail():
                    self._mails.post(output)
                case RightsChanged() | KeepSpin() | UnlockSpin() | ForgetSpin():
                    self._desk.feed(output)
                case AskCar():
                    asked.append(output)
        for command in asked:  # last, since its end can come back at once
            self._desk.ask_car(command)

    def _tell_failure(self, notice: Notify) -> None:
        told = notice.data
        again = "; it is tried again" if "again_at" in told else ""
        self._context.warn(f"the service {told['rule']} failed at {told['at']} {told['car']}: {told['error']}{again}")


def _words_of(request: ServiceRequest) -> tuple[object, ...]:
    """Return the words in whose place an S-PIN may be typed."""
    return request.service, request.action, request.vin, request.user, request.data.get("user")
