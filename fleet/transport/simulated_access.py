"""Access to topics: the rules of Mosquitto's access control file, read and applied as Mosquitto does.

A pure value. Knows the file's text, not the file.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from fleet.errors import UsageError

Access = Literal["read", "write"]

_ACCESS: Final = {"read": {"read"}, "write": {"write"}, "readwrite": {"read", "write"}, "deny": set[str]()}
_SUBJECT: Final = r"(?P<u>[^\0]*)\0(?P<c>[^\0]*)\0"
"""Before the topic stand user name and client id, so that one expression can tell whether it holds them."""


_USER: Final = "(?P=u)"
_CLIENT_ID: Final = "(?P=c)"


class _Rule(NamedTuple):
    """One line: its topic as an expression, and what it allows; nothing is a denial."""

    topic: str
    allows: frozenset[str]


class AccessControl:
    """The rules of one file, one regular expression for each user with lines of its own and one for all others."""

    __slots__ = ("_nameless", "_others", "_users")

    def __init__(self, by_user: dict[str | None, list[_Rule]], patterns: list[_Rule]) -> None:
        """Take the lines of each user (None: of clients without a name) and the patterns, which hold for everybody."""
        without_user = [rule for rule in patterns if _USER not in rule.topic]
        self._users = {user: _Rights(rules, patterns) for user, rules in by_user.items() if user is not None}
        self._others = _Rights([], patterns)
        self._nameless = _Rights(by_user.get(None, []), without_user)

    @staticmethod
    def parse(text: str) -> AccessControl:
        """Read the format of Mosquitto's `acl_file`. Raises UsageError with the number of a line that is none."""
        by_user: dict[str | None, list[_Rule]] = {}
        patterns: list[_Rule] = []
        user: str | None = None
        for number, line in enumerate(text.splitlines(), 1):
            kind, _, rest = line.strip().partition(" ")
            rest = rest.strip()
            if not kind or kind.startswith("#"):
                continue
            if not rest or kind not in {"user", "topic", "pattern"}:
                raise UsageError(
                    f"line {number} of the access control is no rule: {line.strip()!r}",
                    hint="A line is `user NAME`, or `topic` or `pattern`, [read|write|readwrite|deny] and a TOPIC.",
                )
            if kind == "user":
                user = rest
            elif kind == "topic":
                by_user.setdefault(user, []).append(_rule(rest, is_pattern=False))
            else:
                patterns.append(_rule(rest, is_pattern=True))
        return AccessControl(by_user, patterns)

    def allows(self, access: Access, topic: str, username: str | None, client_id: str) -> bool:
        """Return whether the client may write, or be delivered, a message of that topic."""
        rights = self._nameless if username is None else self._users.get(username, self._others)
        match = (rights.read if access == "read" else rights.write).fullmatch(f"{username or ''}\0{client_id}\0{topic}")
        return match is not None and match.lastgroup == "c"  # a denial is a group that closes later


class _Rights:
    """Rights of one user, as expressions over user name, client id and topic."""

    __slots__ = ("read", "write")

    def __init__(self, own: list[_Rule], patterns: list[_Rule]) -> None:
        self.read = _expression("read", own, patterns)
        self.write = _expression("write", own, patterns)


def _rule(text: str, *, is_pattern: bool) -> _Rule:
    word, _, topic = text.partition(" ")
    if word not in _ACCESS or not topic:
        word, topic = "readwrite", text
    return _Rule(_expression_of(topic.strip(), is_pattern=is_pattern), frozenset(_ACCESS[word]))


def _expression(access: Access, own: list[_Rule], patterns: list[_Rule]) -> re.Pattern[str]:
    """Join the lines in the order in which they count: the user's denials, rights, then those of the patterns."""
    parts = []
    for name, rules in (("own", own), ("patterns", patterns)):
        denials = "|".join(rule.topic for rule in rules if not rule.allows)
        parts += [f"(?P<deny_{name}>{denials})"] if denials else []
        parts += [rule.topic for rule in rules if access in rule.allows]
    return re.compile(_SUBJECT + (f"(?:{'|'.join(parts)})" if parts else r"(?!)"), re.DOTALL)


def _expression_of(topic: str, *, is_pattern: bool) -> str:
    levels = topic.split("/")
    rest = levels[-1] == "#"
    if rest:
        levels.pop()
    text = "/".join("[^/]*" if level == "+" else re.escape(level) for level in levels)
    if is_pattern:
        text = text.replace("%u", _USER).replace("%c", _CLIENT_ID)
    if rest:
        text = f"{text}(?:/.*)?" if levels else ".*"
    return rf"(?!\$){text}" if topic[:1] in {"+", "#"} else text
