"""What a run of the certifier found: plain values, which reports show and nobody changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Verdict = Literal["held", "broken", "skipped", "trouble"]
"""`skipped`: the adapter names no way to try it. `trouble`: it could not be tried; counts as a failure."""

Party = Literal["buyer", "thief", "shop", "gateway", "staff", "certifier"]


@dataclass(frozen=True)
class Words:
    """One text in both languages; Korean first, as everywhere."""

    ko: str
    en: str


@dataclass(frozen=True)
class Rule:
    """What must hold for every order after every attack. `safe_code` is Python with the kit."""

    id: str
    title: Words
    text: Words
    safe_code: str


@dataclass(frozen=True)
class Exchange:
    """One message and its answer, in the order in which they were sent. Secrets are cut out.

    `title` is short (`POST /payments/complete`, `pays 1,000 KRW`). `request` and `response` are raw
    text, empty for what is no HTTP; `status` None when nothing was answered.
    """

    number: int
    sender: Party
    receiver: Party
    title: str
    request: str = ""
    status: int | None = None
    response: str = ""
    seconds: float = 0.0
    at_once: int = 0  # exchanges of one number were on their way at the same time; 0: alone


@dataclass(frozen=True)
class OrderSeen:
    """An order at the end. Amounts in won; `received` is what the merchant keeps for it at the gateway."""

    name: str
    merchant_uid: str
    amount: int
    status: str
    fulfilled: int
    paid_amount: int | None
    received: int


@dataclass(frozen=True)
class Breach:
    """A rule that one order broke, and what it cost, in won."""

    rule: Rule
    order: str
    why: Words
    cost: int


@dataclass(frozen=True)
class AttackNamed:
    """Who an attack is, for reports. `family` groups them; `story` says what is done, and why it works."""

    name: str
    family: Words
    title: Words
    story: Words


@dataclass(frozen=True)
class Outcome:
    """One attack. `steps` are its sentences; when it was shrunk, `shrunk_from` is how many there were.

    `warnings` are weaknesses that cost no money, such as a 500 for a hostile request. `repeat` is the
    command that does this attack again.
    """

    attack: AttackNamed
    verdict: Verdict
    breaches: tuple[Breach, ...] = ()
    warnings: tuple[Words, ...] = ()
    orders: tuple[OrderSeen, ...] = ()
    steps: tuple[Words, ...] = ()
    tape: tuple[Exchange, ...] = ()
    shrunk_from: int | None = None
    why: Words | None = None  # skipped, trouble
    seconds: float = 0.0
    repeat: str = ""

    @property
    def cost(self) -> int:
        """What it cost, in won."""
        return sum(breach.cost for breach in self.breaches)


@dataclass(frozen=True)
class Run:
    """One whole run against one shop."""

    shop: str
    url: str
    seed: int
    version: str
    began: datetime
    seconds: float
    outcomes: tuple[Outcome, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Every attack that could be tried was tried, and held; at least one was."""
        verdicts = {outcome.verdict for outcome in self.outcomes}
        return "held" in verdicts and not verdicts & {"broken", "trouble"}

    @property
    def cost(self) -> int:
        """What all attacks together cost, in won."""
        return sum(outcome.cost for outcome in self.outcomes)
