"""Who said what to whom: the places of a sequence diagram, which diagram.svg draws."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from naru.certifier.report.score import PARTIES
from naru.certifier.report.screen import cut
from naru.certifier.result import Exchange, Party, Words

SHOWN_MAX = 60

_LANE, _MARGIN, _HEAD, _FOOT = 220, 48, 40, 14
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
    brackets: list[Bracket] = []
    y = _HEAD
    for at_once, grouped in groupby(shown, key=lambda each: each.at_once):
        group = list(grouped)
        together = at_once != 0 and len(group) > 1
        top = y
        # What overlaps is drawn so: everything is asked before anything is answered.
        for part in [group] if together else [[each] for each in group]:
            for each in part:
                y += _ASKED
                start, end = lanes[each.sender].x, lanes[each.receiver].x
                label = _fitting(each.title, start, end)
                arrows.append(Arrow(y, start, end, "asked", label, each.number))
            for each in part:
                if answer := _answer(each, numbered=together):
                    y += _ANSWERED
                    start, end = lanes[each.sender].x, lanes[each.receiver].x
                    arrows.append(Arrow(y, end, start, *answer))
            y += _GAP
        if together:
            brackets.append(Bracket(top + 8, y - 6))
    return Drawing(
        width=_MARGIN + 2 * _PARTY + _LANE * (len(lanes) - 1),
        height=y + _FOOT,
        lanes=tuple(lanes.values()),
        arrows=tuple(arrows),
        brackets=tuple(brackets),
        left_out=len(tape) - len(shown),
    )


def _fitting(title: str, start: int, end: int) -> Words:
    room = abs(end - start) or _LANE // 2
    said = cut(title.replace("\n", " "), int((room - 12) / _COLUMN))
    return Words(said, said)


def _answer(each: Exchange, *, numbered: bool) -> tuple[str, Words] | None:
    """What is written at the arrow back. What is no HTTP has no answer, and misses none."""
    number = f"{each.number}: " if numbered else ""
    slow = f" · {each.seconds:.1f} s" if each.seconds >= 1 else ""
    if each.status is not None:
        said = f"{number}{each.status}{slow}"
        return "refused" if each.status >= 400 else "answered", Words(said, said)
    if each.request:
        return "silent", Words(f"{number}답 없음{slow}", f"{number}no answer{slow}")
    return None
