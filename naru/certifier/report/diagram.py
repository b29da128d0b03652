"""Who said what to whom: the places of a sequence diagram, which diagram.svg draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from naru.certifier.report.score import PARTIES
from naru.certifier.report.screen import cut
from naru.certifier.result import Exchange, Party, Words

SHOWN_MAX = 60

_LANE, _MARGIN, _HEAD, _FOOT = 220, 44, 40, 14
_PARTY = 60  # half of what a party's name needs
_ASKED, _ANSWERED, _GAP = 26, 24, 14
_COLUMN = 6.8  # pixels that a column of 12 px text needs, at the least favourable font


@dataclass(frozen=True)
class Lane:
    """A party's lifeline. Everything here is in pixels."""

    x: int
    party: Party
    name: Words


@dataclass(frozen=True)
class Arrow:
    """One message or its answer. `kind`: asked, answered, refused, silent (no answer came)."""

    y: int
    start: int
    end: int
    kind: str
    label: Words
    number: int | None = None

    @property
    def middle(self) -> float:
        """Where its label stands; beside it when somebody speaks to himself."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Bracket:
    """Messages that were on their way at the same time."""

    top: int
    bottom: int


@dataclass(frozen=True)
class Drawing:
    """A whole diagram. `left_out`: how many messages are not drawn because they are too many."""

    width: int
    height: int
    lanes: tuple[Lane, ...]
    arrows: tuple[Arrow, ...]
    brackets: tuple[Bracket, ...]
    left_out: int


def draw(tape: tuple[Exchange, ...]) -> Drawing | None:
    """The diagram of a tape; None when nothing was said."""
    if not tape:
        return None
    shown = tape[:SHOWN_MAX]
    present = {party for each in shown for party in (each.sender, each.receiver)}
    lanes = {
        party: Lane(_MARGIN + _PARTY + _LANE * place, party, PARTIES[party])
        for place, party in enumerate(party for party in PARTIES if party in present)
    }
    arrows: list[Arrow] = []
    spans: list[tuple[int, int, int]] = []
    y = _HEAD
    for each in shown:
        top = y = y + _ASKED
        start, end = lanes[each.sender].x, lanes[each.receiver].x
        arrows.append(Arrow(y, start, end, "asked", _fitting(each.title, start, end), each.number))
        if answer := _answer(each):
            y += _ANSWERED
            kind, label = answer
            arrows.append(Arrow(y, end, start, kind, label))
        spans.append((each.at_once, top, y))
        y += _GAP
    return Drawing(
        width=_MARGIN + 2 * _PARTY + _LANE * (len(lanes) - 1),
        height=y + _FOOT,
        lanes=tuple(lanes.values()),
        arrows=tuple(arrows),
        brackets=tuple(_brackets(spans)),
        left_out=len(tape) - len(shown),
    )


def _fitting(title: str, start: int, end: int) -> Words:
    room = abs(end - start) or _LANE // 2
    said = cut(title.replace("\n", " "), int((room - 12) / _COLUMN))
    return Words(said, said)


def _answer(each: Exchange) -> tuple[str, Words] | None:
    """What is written at the arrow back. What is no HTTP has no answer, and misses none."""
    slow = f" · {each.seconds:.1f} s" if each.seconds >= 1 else ""
    if each.status is not None:
        said = f"{each.status}{slow}"
        return "refused" if each.status >= 400 else "answered", Words(said, said)
    if each.request:
        return "silent", Words(f"답 없음{slow}", f"no answer{slow}")
    return None


def _brackets(spans: Iterable[tuple[int, int, int]]) -> Iterable[Bracket]:
    listed = list(spans)
    members = Counter(group for group, _, _ in listed)
    for group, parts in groupby(listed, key=lambda span: span[0]):
        if group and members[group] > 1:
            within = list(parts)
            yield Bracket(within[0][1] - 16, within[-1][2] + 6)
