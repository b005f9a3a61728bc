"""migrate: a store of an earlier fleet, so that the tools of this one can read it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from fleet import __version__
from fleet.backend.schema import SCHEMA, open_for_writing, schema_of
from fleet.backend.store_copies import copies_of
from fleet.backend.store_file import StoreFile
from fleet.cli.common import PARTS, AsJson, out
from fleet.cli.printing import json_text

app = typer.Typer()


@app.command(rich_help_panel=PARTS)
def migrate(
    store: Annotated[Path, typer.Argument(metavar="FILE", help="Store of an earlier fleet.")],
    as_json: AsJson = False,
) -> None:
    """Bring a store of an earlier fleet up to date; a copy of it as it is stays beside it.

    A back end does the same when it is started on such a store. Until then no tool of this fleet reads it.

    Examples: fleet migrate runs/latest/store.sqlite

    fleet migrate store.sqlite --json
    """
    found = schema_of(store)
    before = set(copies_of(store))
    if found != SCHEMA:
        with closing(StoreFile(store)):  # no back end may have it open
            open_for_writing(store, created_by=f"fleet {__version__}").close()
    copies = [str(copy) for copy in copies_of(store) if copy not in before]
    if as_json:
        out.print_json(json_text({"store": str(store), "found": found, "schema": SCHEMA, "copies": copies}))
    elif found == SCHEMA:
        out.say(f"{store} has schema {SCHEMA} already; nothing was changed")
    else:
        out.say(
            f"{store} had schema {found}, and has {SCHEMA} now; as it was it is in {', '.join(copies) or 'the copy there was'}"
        )
