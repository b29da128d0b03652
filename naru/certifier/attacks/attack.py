"""What an attack is: a name, a story, and a program that a seed fills in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from naru.certifier.result import AttackNamed, Words
from naru.certifier.steps import Program

CHEAP = (1_000, 1_004, 1_500, 2_900)
DEAR = (64_900, 88_000, 129_000, 250_000)


@dataclass(frozen=True)
class Attack:
    """One attack or accident. `needs` are the adapter's sections without which it cannot be tried."""

    named: AttackNamed
    program: Callable[[Random], Program]
    needs: frozenset[str]

    @property
    def name(self) -> str:
        """How it is called on the command line."""
        return self.named.name


class Family:
    """Collects attacks of one kind, in the order in which they are written."""

    def __init__(self, ko: str, en: str) -> None:
        self.words = Words(ko, en)
        self.attacks: list[Attack] = []

    def attack(
        self,
        name: str,
        title_ko: str,
        title_en: str,
        story_ko: str,
        *,
        needs: str = "callback",
    ) -> Callable[[Callable[[Random], Program]], Callable[[Random], Program]]:
        """A decorator: the function writes the program, its docstring is the story in English.

        `needs` names sections of the adapter, by spaces.
        """

        def add(program: Callable[[Random], Program]) -> Callable[[Random], Program]:
            story = Words(story_ko, " ".join((program.__doc__ or "").split()))
            named = AttackNamed(name, self.words, Words(title_ko, title_en), story)
            self.attacks.append(Attack(named, program, frozenset(needs.split())))
            return program

        return add


def cheap(chance: Random) -> int:
    """A small price."""
    return chance.choice(CHEAP)


def dear(chance: Random) -> int:
    """A price worth stealing."""
    return chance.choice(DEAR)
