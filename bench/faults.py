"""What becomes of messages when broker, back end or connections fail: `python bench/faults.py [WORDS OF A FAULT]`.

Each line is a fault at a private Mosquitto with the shipped configuration: 30 parked cars and a back end on the mass
link, 60 statuses a second before, during and after it. Several run at a time; one stops the broker for 20 s, with
FLEET_NIGHTLY=1 for 90 s. Columns:

sent     first transmissions of the cars
stored   of these, messages in the store at the end, when all outboxes are empty
lost     what the account says is lost: made and nowhere
twice    rows of the store beyond the first of their message

Aim: `lost` 0 in the mode `stored`; `twice` 0 always. In the mode `puback` `lost` is what the broker had acknowledged and
then lost; the tests hold it against the store to the message. The tests run these very faults.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import structlog
from lab import surroundings

from fleet.runtime.limits import run_fast
from tests.runtime.fault_lab import ASKED_PER_S, CARS, SEED
from tests.runtime.faults import CASES, HEAD, line, start_all


async def main(words: str) -> None:
    """Run the faults whose name holds the words, and print each line as soon as those before it are there."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(surroundings(f"{CARS} cars, {ASKED_PER_S:g} statuses a second, seed {SEED}; Mosquitto as in broker/mosquitto.conf"))
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = start_all([case for case in CASES if words in case.fault.name], Path(folder))
        for outcome in outcomes.values():
            print(line(await outcome), flush=True)


if __name__ == "__main__":
    run_fast(main(" ".join(sys.argv[1:])))
