"""The picture of the README is what the live view shows."""

from __future__ import annotations

from tests.runtime.picture import PICTURE, ROOT, draw, texts_of


def test_the_picture_is_what_the_view_shows() -> None:
    """Text by text, of what a real run told; `python -m tests.runtime.picture` draws it anew after a change of the view."""
    shown = texts_of(draw())
    assert {"progress", "scenario time", "messages", "commands", "publish to ack"} <= set(shown)
    assert texts_of(PICTURE.read_text(encoding="utf-8")) == shown


def test_the_readme_shows_it() -> None:
    assert f"]({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")
