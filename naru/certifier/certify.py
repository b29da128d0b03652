"""One run: every attack on a fresh set of orders, judged, and what broke made as short as it can be."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from random import Random

from naru.certifier.adapter import Adapter
from naru.certifier.attacks.attack import Attack
from naru.certifier.browser import NoBrowser
from naru.certifier.judge import judge
from naru.certifier.result import Breach, Outcome, Run, Words
from naru.certifier.shop import Shop, ShopTrouble
from naru.certifier.shrink import shrink
from naru.certifier.stage import Stage
from naru.certifier.steps import Advance, Program, Together
from naru.certifier.tape import Tape
from naru.certifier.tell import tell
from naru.testing.private_gateway import GatewayTrouble, PrivateGateway

SHRINK_TRIES = 24
SHRINK_SECONDS = 12.0
RACE_TRIES = 5  # a race that broke once is asked so often before a part of it counts as harmless


@dataclass(frozen=True)
class Certifier:
    """A stage that stands, ready for attack after attack."""

    stage: Stage
    seed: int
    command: str

    def attack(self, attack: Attack, *, shorten: bool = True) -> Outcome:
        """Perform one attack; when a rule broke, find the shortest program that breaks it, too."""
        began = time.monotonic()
        repeat = f"{self.command} --attack {attack.name} --seed {self.seed}"
        if missing := attack.needs - self.stage.adapter.abilities:
            names = ", ".join(f"[{name}]" for name in sorted(missing))
            why = Words(f"어댑터에 {names}이(가) 없습니다.", f"The adapter has no {names}.")
            return Outcome(attack.named, "skipped", why=why, repeat=repeat)
        program = attack.program(Random(f"{self.seed} {attack.name}"))  # noqa: S311 - no secret
        outcome = self._perform(attack, program)
        if outcome.verdict == "broken" and shorten:
            outcome = self._shorten(attack, program, outcome)
        return replace(outcome, seconds=time.monotonic() - began, repeat=repeat)

    def _perform(self, attack: Attack, program: Program) -> Outcome:
        shop = self.stage.shop
        try:
            scene = self.stage.perform(program)
            orders, breaches = judge(self.stage, scene)
        except NoBrowser as missing:
            self.stage.tape.take()
            return Outcome(attack.named, "skipped", why=missing.why)
        except (ShopTrouble, GatewayTrouble) as trouble:
            tape = self.stage.tape.take()
            if isinstance(trouble, ShopTrouble) and not shop.is_alive():
                shop.restart()
            why = Words(f"시험할 수 없었습니다. {trouble}", f"It could not be tried. {trouble}")
            steps = tuple(map(tell, program))
            return Outcome(attack.named, "trouble", why=why, steps=steps, tape=tape)
        return Outcome(
            attack.named,
            "broken" if breaches else "held",
            tuple(breaches),
            tuple(scene.warnings),
            tuple(orders),
            tuple(map(tell, program)),
            self.stage.tape.take(),
        )

    def _shorten(self, attack: Attack, program: Program, first: Outcome) -> Outcome:
        # What cost most is what is to be shown; the rest of a long program may go.
        worst = max(first.breaches, key=lambda breach: breach.cost)
        until = time.monotonic() + SHRINK_SECONDS
        found = {program: first}

        def breaks(candidate: Program) -> bool:
            if time.monotonic() > until:
                return False
            races = any(isinstance(step, Together) for step in candidate)
            for _ in range(RACE_TRIES if races else 1):
                outcome = self._perform(attack, candidate)
                if any(_same(breach, worst) for breach in outcome.breaches):
                    found[candidate] = outcome
                    return True
            return False

        shortest = shrink(program, breaks, tries=SHRINK_TRIES)
        if shortest == program:
            return first
        return replace(found[shortest], warnings=first.warnings, shrunk_from=len(program))


def _moves_time(attack: Attack) -> bool:
    return any(isinstance(step, Advance) for step in attack.program(Random(0)))  # noqa: S311


def _same(one: Breach, other: Breach) -> bool:
    return (one.rule.id, one.order) == (other.rule.id, other.order)


@contextmanager
def standing(adapter: Adapter, url: str, *, seed: int, command: str) -> Iterator[Certifier]:
    """Gateway and shop, up for as long as the block lasts. Raises ShopTrouble, GatewayTrouble."""
    hand = adapter.by_hand
    with PrivateGateway(port=hand.port if hand else 0) as gateway:
        imp = gateway.open_shop(
            adapter.name,
            webhook_format=adapter.webhook_format,
            # What a shop that was started by hand has been told; for others, fresh ones.
            **(hand.names if hand else {}),
        )
        imp.webhooks.hold()
        names = {
            "imp_url": imp.url,
            "imp_key": imp.imp_key,
            "imp_secret": imp.imp_secret,
            "user_code": imp.user_code,
            "webhook_secret": imp.webhook_secret,
        }
        tape = Tape([imp.imp_secret, imp.webhook_secret])
        shop = Shop(adapter, url, names, tape)
        stage = Stage(gateway, imp, shop, tape)
        try:
            shop.start()
            yield Certifier(stage, seed, command)
        finally:
            shop.stop()
            stage.close()


def certify(
    adapter: Adapter,
    url: str,
    attacks: Sequence[Attack],
    *,
    seed: int,
    command: Sequence[str],
    show: Callable[[int, Outcome], None] = lambda number, outcome: None,
    shorten: bool = True,
) -> Run:
    """Try all of these on the shop at `url`; `show` is told after each. Raises as `standing`.

    `url` has been looked at by hosts.py. `command` is how this run was started, for repeating.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    outcomes = []
    with standing(adapter, url, seed=seed, command=shlex.join(command)) as certifier:
        # Time never goes back: whatever moves it is tried when everything else has been.
        for number, attack in enumerate(sorted(attacks, key=_moves_time), 1):
            outcome = certifier.attack(attack, shorten=shorten)
            outcomes.append(outcome)
            show(number, outcome)
    seconds = time.monotonic() - clock
    return Run(adapter.name, url, seed, version("naru"), began, seconds, tuple(outcomes))
