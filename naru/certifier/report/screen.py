"""The verdict on one terminal screen: what was lost first, what held in a line for each family."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from naru.certifier.report.clean import clean_run
from naru.certifier.report.compare import Compared
from naru.certifier.report.score import VERDICTS, count, failures, families, kst, skipped, won
from naru.certifier.result import Outcome, Run, Words

WIDTH_MIN, WIDTH_MAX = 80, 120
NAME_MAX = 32
# More failures than these get one line each, and more than those a word, so that all is one screen.
DETAILED_MAX, SHOWN_MAX = 6, 16

_RED, _GREEN, _AMBER, _BOLD, _QUIET, _OFF = (
    f"\x1b[{number}m" for number in ("31", "32", "33", "1", "2", "0")
)
_COLOURS = {"broken": _RED, "trouble": _AMBER, "held": _GREEN, "skipped": _QUIET}


def text(
    run: Run,
    compared: Compared | None = None,
    *,
    width: int = 100,
    colour: bool = False,
    korean: bool = True,
) -> str:
    """The verdict, in lines of at most `width` columns (80 to 120).

    The caller knows whether it is a terminal (`colour`), how wide, and in which language.
    """
    width = min(max(width, WIDTH_MIN), WIDTH_MAX)
    return _Screen(clean_run(run), width, colour, korean).text(compared)


class _Screen:
    def __init__(self, run: Run, width: int, colour: bool, korean: bool) -> None:
        self.run, self.width, self.colour, self.korean = run, width, colour, korean

    def text(self, compared: Compared | None) -> str:
        lines = [
            *self._head(),
            *self._failed(),
            *self._families(),
            *self._skipped(),
            *self._compared(compared),
        ]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _head(self) -> Iterator[str]:
        run, score = self.run, count(self.run)
        verdict = self._say("통과", "PASSED") if run.passed else self._say("실패", "FAILED")
        yield self._paint(
            _GREEN if run.passed else _RED,
            self._paint(_BOLD, f"{verdict}  {self._fit(run.shop, 60)}"),
        )
        told = [
            self._say(f"막음 {score.held}/{score.tried}", f"{score.held} of {score.tried} held")
        ]
        if score.broken:
            told.append(self._say(f"뚫림 {score.broken}", f"{score.broken} broken"))
        if score.trouble:
            told.append(self._say(f"시도 못 함 {score.trouble}", f"{score.trouble} not tried"))
        if score.skipped:
            told.append(self._say(f"건너뜀 {score.skipped}", f"{score.skipped} skipped"))
        lost = self._in(won(run.cost))
        told.append(self._say(f"잃은 돈 {lost}", f"{lost} lost"))
        yield self._fit(" · ".join(told), self.width)
        yield self._quiet(
            f"{run.url} · seed {run.seed} · {kst(run.began)} · {run.seconds:.1f} s · naru {run.version}"
        )

    def _failed(self) -> Iterator[str]:
        failed = failures(self.run)
        if not failed:
            return
        shown = failed[:SHOWN_MAX]
        many = len(failed) > DETAILED_MAX
        told = self._say("무슨 일이 있었나", "what happened")
        tried = self._say("해 본 것", "what was tried")
        rows = [
            (
                self._say("공격", "attack"),
                self._say("판정", "verdict"),
                self._say("잃은 돈", "lost"),
                told if many else tried,
            )
        ]
        for outcome in shown:
            rest = self._whys(outcome)[0] if many else self._in(outcome.attack.title)
            if many and outcome.verdict == "trouble":
                rest = self._in(outcome.attack.title)
            verdict, lost = VERDICTS[outcome.verdict], won(outcome.cost)
            rows.append((outcome.attack.name, self._in(verdict), self._in(lost), rest))
        head, *lines = self._rows(rows)
        yield ""
        yield head
        yield "─" * self.width
        for outcome, line in zip(shown, lines, strict=True):
            yield self._paint(_COLOURS[outcome.verdict], line)
            if not many:
                for why in self._whys(outcome):
                    yield from self._wrap(why, indent="  ")
            elif outcome.verdict == "trouble":  # its reason is all there is to know of it
                yield from self._wrap(self._whys(outcome)[0], indent="  ")
        yield from self._unshown(failed[SHOWN_MAX:])
        yield ""
        # Not cut, whatever the width: it is there to be copied.
        again = self._say("다시 하기", "repeat")
        yield self._paint(_QUIET, f"{again}: {_in_one_line(failed[0].repeat)}")

    def _unshown(self, failed: list[Outcome]) -> Iterator[str]:
        """The names of failures that have no line of their own: --html shows them all."""
        if not failed:
            return
        names = ", ".join(each.attack.name for each in failed)
        cost = self._in(won(sum(each.cost for each in failed)))
        told = self._say(f"그 밖에 {len(failed)}가지", f"and {len(failed)} more")
        lines = self._wrap(f"{told} ({cost}): {names}")
        yield from (self._paint(_RED, line) for line in lines)

    def _wrap(self, said: str, *, indent: str = "") -> Iterator[str]:
        """A text in as many lines as it needs; a word is broken only when it is wider than a line."""
        line = ""
        for word in _in_one_line(said).split():
            longer = f"{line} {word}" if line else indent + word
            if line and columns(longer) > self.width:
                yield line
                longer = indent + word
            while columns(longer) > self.width:
                kept = cut(longer, self.width).removesuffix("…")
                yield kept
                longer = indent + longer[len(kept) :]
            line = longer
        yield line

    def _whys(self, outcome: Outcome) -> list[str]:
        said = [self._in(breach.why) for breach in outcome.breaches]
        if outcome.why:
            said.append(self._in(outcome.why))
        if len(said) > 2:
            more = self._say(f"… 그 밖에 {len(said) - 2}건", f"… and {len(said) - 2} more")
            said = [*said[:2], more]
        return said or [""]

    def _families(self) -> Iterator[str]:
        """Families flow over the lines; those that did not hold whole come first."""
        told = []
        for family, outcomes in families(self.run).items():
            tried = [each for each in outcomes if each.verdict != "skipped"]
            held = sum(each.verdict == "held" for each in tried)
            mark = "-" if not tried else "✓" if held == len(tried) else "✗"
            told.append((mark, f"{mark} {self._fit(self._in(family), 40)} {held}/{len(tried)}"))
        line: list[str] = []
        yield ""
        for _, part in sorted(told, key=lambda each: each[0] != "✗"):
            if line and columns("   ".join([*line, part])) > self.width:
                yield self._painted(line)
                line = []
            line.append(part)
        yield self._painted(line)

    def _painted(self, parts: list[str]) -> str:
        by_mark = {"✗": _RED, "✓": _GREEN}
        return "   ".join(self._paint(by_mark.get(part[0], _QUIET), part) for part in parts)

    def _skipped(self) -> Iterator[str]:
        for why, outcomes in skipped(self.run).items():
            names = ", ".join(each.attack.name for each in outcomes)
            told = f"{self._say('건너뜀', 'skipped')} {len(outcomes)}"
            reason = self._in(why).rstrip(".")
            lines = self._wrap(f"{told}: {reason}: {names}" if reason else f"{told}: {names}")
            yield from (self._paint(_QUIET, line) for line in lines)
        weak = [each.attack.name for each in self.run.outcomes if each.warnings]
        if weak:
            told = self._say("돈은 지켰지만 약한 곳", "weak, without loss")
            lines = self._wrap(f"{told} {len(weak)}: {', '.join(weak)}")
            yield from (self._paint(_AMBER, line) for line in lines)

    def _compared(self, compared: Compared | None) -> Iterator[str]:
        if compared is None:
            return
        yield ""
        before = self._in(won(compared.cost_before))
        yield self._say(
            f"지난 실행({kst(compared.began_before)}, {before})과 비교",
            f"compared with {kst(compared.began_before)}, {before}",
        )
        for paint, told, names in (
            (_RED, self._say("새로 뚫림", "newly broken"), compared.newly_broken),
            (_GREEN, self._say("고쳐짐", "mended"), compared.mended),
            (_AMBER, self._say("아직 뚫림", "still broken"), compared.still_broken),
            (_QUIET, self._say("이번엔 안 해 봄", "not tried now"), compared.not_tried),
            (_QUIET, self._say("처음 해 봄", "tried for the first time"), compared.first_tried),
        ):
            if names:
                lines = self._wrap(f"{told} {len(names)}: {', '.join(names)}", indent="  ")
                yield from (self._paint(paint, line) for line in lines)
        if compared.is_same:
            yield f"  {self._say('달라진 것 없음', 'nothing changed')}"

    def _rows(self, rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
        """A name, a verdict, an amount to the right, and what happened in the room that is left."""
        rows = [(self._fit(row[0], NAME_MAX), *row[1:]) for row in rows]
        first, second, third = (max(columns(row[place]) for row in rows) for place in range(3))
        for name, verdict, lost, rest in rows:
            row = f"{pad(name, first + 2)}{pad(verdict, second + 1)}{pad(lost, third, right=True)}"
            yield self._fit(f"{row}  {rest}", self.width)

    def _say(self, ko: str, en: str) -> str:
        return ko if self.korean else en

    def _in(self, words: Words) -> str:
        return self._say(words.ko, words.en)

    def _fit(self, said: str, width: int) -> str:
        return cut(_in_one_line(said), width)

    def _quiet(self, said: str) -> str:
        return self._paint(_QUIET, self._fit(said, self.width))

    def _paint(self, colour: str, said: str) -> str:
        return f"{colour}{said}{_OFF}" if self.colour and said else said


def _in_one_line(said: str) -> str:
    return re.sub("[\n\t]", " ", said)


def columns(said: str) -> int:
    """How many columns a terminal gives a text: two for a Korean letter (UAX 11), none for a mark
    that sits on another letter."""
    return sum(_columns(letter) for letter in said)


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(said: str, width: int) -> str:
    """The text in at most so many columns; what was left out is an ellipsis."""
    if columns(said) <= width:
        return said
    kept, room = "", width - 1
    for letter in said:
        room -= _columns(letter)
        if room < 0:
            break
        kept += letter
    return kept + "…"


def pad(said: str, width: int, *, right: bool = False) -> str:
    """The text with blanks up to so many columns."""
    blanks = " " * (width - columns(said))
    return blanks + said if right else said + blanks
