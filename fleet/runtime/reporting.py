"""Puts the report of a run together: the cars' account held against the store, figures, expectations and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet import __version__
from fleet.backend.reader import StoreReader
from fleet.cloud.people.people import RULE, People
from fleet.cloud.rule import Notes
from fleet.errors import FleetError, StoreError, UsageError
from fleet.kernel.instants import format_duration, format_instant
from fleet.observe import report as reports
from fleet.observe.histogram import Histogram
from fleet.observe.junit import write_junit
from fleet.observe.report import Account, Generator, judge, machine, write_report
from fleet.runtime.assembly import vins, vocabulary
from fleet.runtime.broker_findings import broker_findings
from fleet.runtime.fault_injector import harms_network
from fleet.runtime.verdicts import Verdicts, line_outcomes, stage_figures, unjudged
from fleet.scenario.expectations import OF_PEOPLE
from fleet.scenario.following import followed_tracks, track_findings
from fleet.scenario.schema import Scenario

_TRACK_FINDINGS: Final = 10


_OF_STORE: Final = ("stored", "quarantined", "lost", "duplicates", "rows_missing", "rows_twice")
_OF_ROWS: Final = ("quarantined", "rows_missing", "rows_twice")
BY_ROWS: Final = "the rows of the store, as they were at the end"
BY_MARKS: Final = "what the back end told the cars to be stored: nobody has looked into a store"
BY_ACKNOWLEDGEMENTS: Final = "the broker's acknowledgements: nobody has looked into a store"


def compose_report(
    scenario: Scenario,
    *,
    result: Mapping[str, Any],
    backend: Mapping[str, Any],
    backend_cpu: Mapping[str, Any],
    store: Path | None,
    verdicts: Verdicts,
    faults: Mapping[str, Mapping[str, int]] | None = None,
    broken: str = "",
    broker_died: bool = False,
    confirmed: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the report of a run from the results of simulator and back end.

    `store` is None without a back end of ours; what nobody has looked at is None then, and where the store cannot be read.
    `faults` is what was done to the network on purpose, by kind; None where nobody has counted. `broken` tells which part of
    the run died under it, in words, and `broker_died` that it was the broker. A result that is `cut_off` is held against no
    expectation, and what only the cars of the dead simulator knew is None. `confirmed` is what a back end under test has
    confirmed, see `Confirmations`.
    """
    try:
        account, commands, told = _store_side(result, backend, store, scenario)
    except StoreError as error:
        store, broken = None, broken or str(error)
        account, commands, told = _store_side(result, backend, None, scenario)
    if confirmed is not None:
        account = msgspec.structs.replace(account, stored=confirmed["stored"], duplicates=confirmed["duplicates"])
        backend = {**backend, "publish_to_stored": confirmed["publish_to_stored"]}
    marked = store is None and confirmed is None and result.get("until_stored", False)
    if marked:
        account = msgspec.structs.replace(account, stored=result["stored_by_marks"])
    generator, lines = _generator(result), result.get("lines", ())
    report: dict[str, Any] = {
        **_of_run(scenario),
        **{name: result[name] for name in ("wall_s", "cars", "connected")},
        **{name: getattr(account, name) for name in (*account.__struct_fields__, "lost") if name != "erased" or account.erased},
        **dict.fromkeys(() if store is not None else _OF_ROWS if marked or confirmed is not None else _OF_STORE),
        "counted_by": BY_MARKS if marked else _counted_by(store, confirmed),
        "repeated": result["account"]["repeated"],
        **{name: result[name] for name in ("presences", "refusals", "left_out_by")},
        **told,
        "commands": reports.command_figures(commands),
        **({} if scenario.people is None else {what: reports.outcome_figures(result.get(what, {})) for what in OF_PEOPLE}),
        "latency_ms": _latency(result, backend),
        "outages": [_outage(outage) for outage in result["outages"]],
        "faults": faults if faults is not None or harms_network(scenario) else {},
        "generator": msgspec.structs.asdict(generator),
        "backend": dict(backend_cpu),
        "beyond": dict(backend.get("beyond", {})),
        "findings": [
            *reports.findings(generator, backend_cpu.get("cpu_percent")),
            *broker_findings(scenario, result, backend, died=broker_died),
            *_of_tracks(scenario),
            *unjudged(verdicts, lines),
            *_of_confirmations(confirmed, account),
            *(
                f"{count} mails are {state}: fleet mail list --state {state} tells why"
                for state, count in told.get("mails_not_sent", {}).items()
                if count
            ),
            *(f"beyond the bounds of the back end: {count} {what}" for what, count in backend.get("beyond", {}).items()),
        ],
        "stages": stage_figures(result["stages"]),
    }
    if "cut_off" in result:
        report |= dict.fromkeys(("in_outbox", "lost"))
        report["findings"].append(_of_cut_off(result["cut_off"]))
        report["expectations"] = []
    else:
        report["expectations"] = verdicts.outcomes(report, report["stages"]) + line_outcomes(lines)
    report["verdict"], report["reason"] = judge(
        account
        if confirmed is None
        else msgspec.structs.replace(account, stored=min(account.stored, account.stored + account.lost)),
        generator,
        report["expectations"],
        interrupted=result["stopped_early"],
        broken=broken,
        until_stored=result.get("until_stored", False) and store is not None,
    )
    return report


def _counted_by(store: Path | None, confirmed: Mapping[str, Any] | None) -> str:
    if store is not None:
        return BY_ROWS
    if confirmed is None:
        return BY_ACKNOWLEDGEMENTS
    return f"what the back end under test confirmed on {confirmed['topic']!r}: nobody has looked into a store"


def _of_confirmations(confirmed: Mapping[str, Any] | None, account: Account) -> list[str]:
    """Return what confirmations cannot tell, or tell too often."""
    if confirmed is None:
        return []
    found = []
    if confirmed["stored"] and not confirmed["numbered"]:
        found.append("the confirmations bear no number, so it cannot be told which message each is of, nor one that came twice")
    if account.lost < 0:
        found.append(f"the back end confirmed {-account.lost} messages more than there were")
    return found


def _of_cut_off(last: str | None) -> str:
    """Return up to when the simulator that died has told what its cars did."""
    told = (
        "the run broke before the simulator told anything of its cars"
        if last is None
        else f"the simulator's last word is of {last}"
    )
    return f"{told}: its counts end there, nobody knows what its cars still held, and no expectation was judged"


def _of_run(scenario: Scenario) -> dict[str, Any]:
    """Return the head of a report; the verdict stands there, and is known last."""
    return {
        "schema": reports.SCHEMA,
        "verdict": "",
        "reason": "",
        "seed": scenario.seed,
        "scenario": scenario.scenario,
        "scenario_duration": format_duration(scenario.duration),
        "clock": str(scenario.clock),
        "version": __version__,
        "machine": machine(),
    }


def _of_tracks(scenario: Scenario) -> list[str]:
    """Return what is to be known of the tracks; nothing when their files have gone in the meantime."""
    try:
        found = track_findings(followed_tracks(scenario, vocabulary()))
    except UsageError:
        return []
    return (
        found if len(found) <= _TRACK_FINDINGS else [*found[:_TRACK_FINDINGS], f"{len(found) - _TRACK_FINDINGS} more of tracks"]
    )


def publish_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the report into its folder, in all its forms. Raises FleetError, which says what the report would have said."""
    try:
        write_report(folder, report)
        write_junit(folder, report)
    except OSError as error:
        outcome = f"the run was {report['verdict']}: {report['reason']}"
        raise FleetError(
            f"the report cannot be written to {folder}: {error.strerror}; {outcome}",
            hint="Make room there, or run it again with another --out; what was stored is in the store.",
        ) from error


def need_fresh(store: Path) -> None:
    """Raise UsageError when there is a store of an earlier run."""
    if store.exists():
        raise UsageError(f"{store} is of an earlier run", hint="Give another --out, or remove that folder.")


def _store_side(
    result: Mapping[str, Any], backend: Mapping[str, Any], store_file: Path | None, scenario: Scenario
) -> tuple[Account, dict[str, dict[str, int]], dict[str, Any]]:
    """Hold the cars' account against the rows of the store, and return what the store tells beside.

    Without a back end of ours acknowledged counts as stored.
    """
    cars = result["account"]
    names = ("created", "published", "acknowledged", "dropped", "refused", "left_out")
    taken = {name: cars.get(name, 0) for name in names}
    if store_file is None:
        account = Account(
            **taken, stored=cars["acknowledged"], in_outbox=cars["in_outbox"], quarantined=0, duplicates=cars["repeated"]
        )
        return account, result["commands"], {}
    with StoreReader(store_file) as reader:
        store = reader.account({result["boot"]}, set(vins(scenario)))
        still_out = 0
        for vin, outbox in result["outboxes"].items():
            known = store.boots.get((vin, outbox["boot"]))
            still_out += sum(1 for seq in outbox["seqs"] if known is None or not known.has(seq))
        account = Account(
            **taken,
            stored=store.stored,
            in_outbox=still_out,
            quarantined=store.quarantined_of_boots,
            duplicates=store.duplicates,
            # By the store's own notes, or by the count of the back end, whose store was empty when it began.
            rows_missing=max(store.missing, backend.get("stored", 0) - store.stored - store.of_others - reader.erased().stored),
            erased=store.erased,
            rows_twice=store.twice,
        )
        triggers = reader.statuses_by_trigger()
        told = {
            "stored_of_others": store.of_others,
            "quarantined_by_reason": store.quarantined_by_reason,
            "statuses_engine_off": triggers.get("engine_off", 0),
            "statuses_asked": triggers.get("load", 0) + triggers.get("refresh", 0),
            "events": reader.events_by_name(),
            "notices": reader.notices_by_kind(),
            "replies": reader.replies_by_name(),
            "replies_failed": reader.replies_by_error(),
            **_of_people(reader),
        }
        return account, reader.command_counts(), told


def _of_people(reader: StoreReader) -> dict[str, Any]:
    """Return what the store tells of people; nothing where it knows nobody."""
    by_kind = reader.mail_counts()
    mails = {kind: sum(states.values()) for kind, states in by_kind.items()}
    not_sent = {state: sum(states.get(state, 0) for states in by_kind.values()) for state in ("waiting", "failed", "unknown")}
    people = People(Notes(reader.service_state(RULE)))
    told: dict[str, Any] = {"mails": mails, "mails_not_sent": not_sent} if mails else {}
    if people.accounts or people.cars:
        enrolled = sum(car.primary is not None for car in people.cars.values())
        told["people"] = {"accounts": len(people.accounts), "enrolled": enrolled}
    return told


def _latency(result: Mapping[str, Any], backend: Mapping[str, Any]) -> dict[str, Any]:
    histograms = {
        "publish_to_ack": result["publish_to_ack"],
        "publish_to_stored": backend.get("publish_to_stored"),
        "command_round_trip": result["round_trip"],
        "command_round_trip_waking": result["round_trip_waking"],
    }
    figures = {name: Histogram.from_dict(plain).summary_ms() if plain else {} for name, plain in histograms.items()}
    return figures | dict(result.get("latency_ms", {}))


def _generator(result: Mapping[str, Any]) -> Generator:
    """Return how the simulator fared; zeros when the scenario's time never ran."""
    health = result["health"]
    loop_lag, behind = Histogram.from_dict(health["loop_lag"]).summary_ms(), Histogram.from_dict(result["behind"])
    return Generator(
        cpu_percent=health["cpu_percent"],
        cpu_percent_peak=health["cpu_percent_peak"],
        cpu_percent_late=health["cpu_percent_late"],
        loop_lag_ms_p99=loop_lag.get("p99", 0.0),
        loop_lag_ms_max=loop_lag.get("max", 0.0),
        behind_ms_p99=behind.summary_ms().get("p99", 0.0),
        late_sends=result["late_sends"],
        late_percent=round(100 * result["late_sends"] / max(1, behind.count), 2),
        memory_mb_peak=health["memory_mb_peak"],
    )


def _outage(outage: Mapping[str, Any]) -> dict[str, Any]:
    ended = outage["to_wall_us"]
    seconds = None if ended is None else round((ended - outage["from_wall_us"]) / 1e6, 3)
    return {"scenario_time": format_instant(outage["scenario_time"]), "seconds": seconds}
