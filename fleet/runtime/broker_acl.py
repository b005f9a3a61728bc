"""The access control list of a private broker: that of broker/, under a topic prefix, and the topics of the cars' dialect."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.runtime.resources import resource_dir
from fleet.wire.dialect import TopicAccess
from fleet.wire.topics import DEFAULT_PREFIX


def acl_text(prefix: str = DEFAULT_PREFIX, topics: TopicAccess | None = None) -> str:
    """Return the list; `topics` are what a dialect adds that has topics of its own, those beside ours under the same prefix."""
    text = (resource_dir("broker") / "acl").read_text(encoding="utf-8").replace(f" {DEFAULT_PREFIX}/", f" {prefix}/")
    if topics is None:
        return text
    allowed = TopicAccess(*(tuple(_under(prefix, each) for each in filters) for filters in topics))
    added = [
        "",
        "# The topics of the cars' dialect.",
        *(
            line
            for user in ("backend", "desk")
            for line in (
                f"user {user}",
                *_lines("topic read", allowed.cloud_reads),
                *_lines("topic write", allowed.cloud_writes),
                "",
            )
        ),
        "user tool",
        *_lines("topic read", allowed.cloud_reads),
        "",
        *_lines("pattern write", allowed.car_writes),
        *_lines("pattern read", allowed.car_reads),
    ]
    return text.rstrip("\n") + "\n" + "\n".join(added) + "\n"


def with_confirmations(topics: TopicAccess | None, confirm_topic: str | None) -> TopicAccess | None:
    """Return the topics with the one on which a back end confirms what it has stored."""
    if confirm_topic is None:
        return topics
    topics = topics or TopicAccess((), (), (), ())
    return topics._replace(cloud_reads=(*topics.cloud_reads, confirm_topic), cloud_writes=(*topics.cloud_writes, confirm_topic))


def _lines(kind: str, filters: Iterable[str]) -> Iterable[str]:
    return (f"{kind} {each}" for each in filters)


def _under(prefix: str, topic: str) -> str:
    ours = f"{DEFAULT_PREFIX}/"
    return f"{prefix}/{topic[len(ours) :]}" if topic.startswith(ours) else topic
