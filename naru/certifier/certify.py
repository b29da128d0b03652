"""One run: every attack on a fresh set of orders, judged, and what broke made as short as it can be."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from naru.certifier.steps import (
    Advance,
    Approve,
    Callback,
    Door,
    Forge,
    Lose,
    Open,
    Place,
    Program,
    Redirect,
    Step,
    Together,
    Webhook,
)
from naru.certifier.tape import Tape
from naru.certifier.tell import tell
from naru.testing.private_gateway import GatewayTrouble, PrivateGateway

SHRINK_TRIES = 24
SHRINK_SECONDS = 12.0
REHEARSED_WON = 50_000
_NEWS: dict[Door, Step] = {
    "callback": Callback("a"),
    "redirect": Redirect("a"),
    "webhook": Webhook("a"),
}
RACE_TRIES = 5  # a race that broke once is asked so often before a part of it counts as harmless


@dataclass(frozen=True)
class Certifier:
    """A stage that stands, ready for attack after attack."""

    stage: Stage
    seed: int
    command: str
    shut: Mapping[Door, Words]  # doors that refused an honest buyer, and how

    def attack(self, attack: Attack, *, shorten: bool = True) -> Outcome:
        """Perform one attack; when a rule broke, find the shortest program that breaks it, too."""
        began = time.monotonic()
        repeat = f"{self.command} --attack {attack.name} --seed {self.seed}"
        if missing := attack.needs - self.stage.adapter.abilities:
            names = ", ".join(f"[{name}]" for name in sorted(missing))
            why = Words(f"어댑터에 {names} 섹션이 없습니다.", f"The adapter has no {names}.")
            return Outcome(attack.named, "skipped", why=why, repeat=repeat)
        program = attack.program(Random(f"{self.seed} {attack.name}"))  # noqa: S311 - no secret
        if (
            door := next((door for door in _doors(program) if door in self.shut), None)
        ) is not None:
            # Whoever is sent away at the door has robbed nobody, and proven nothing.
            return Outcome(attack.named, "trouble", why=self.shut[door], repeat=repeat)
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
        except Exception as trouble:
            # Whatever a hostile shop makes of us, the other attacks are still told.
            tape = self.stage.tape.take()
            if not shop.is_alive():
                shop.restart()
            known = isinstance(trouble, ShopTrouble | GatewayTrouble)
            said = str(trouble) if known else f"{type(trouble).__name__}: {trouble}"
            why = Words(f"시험할 수 없었습니다. {said}", f"It could not be tried. {said}")
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


def _rehearse(stage: Stage) -> dict[Door, Words]:
    """Every door is tried once by an honest buyer; which of them refuse, and how.

    Raises ShopTrouble when nothing can be sold, or the adapter reads a new order as something else.
    """
    scene = stage.perform((Place("A", REHEARSED_WON),))
    state = stage.shop.read(scene.orders["A"].merchant_uid)
    if state.status != "unpaid" or state.fulfilled:
        raise ShopTrouble(
            f"A new order is called {state.word!r}, which means {state.status}, and its goods left "
            f"{state.fulfilled} times. [state] reads something else, or [state.words] is wrong."
        )
    shut: dict[Door, Words] = {}
    for door, news in _NEWS.items():
        if door not in stage.adapter.abilities:
            continue
        window = Open("a", "A", surface="mobile" if door == "redirect" else "pc")
        scene = stage.perform((Place("A", REHEARSED_WON), window, Approve("a"), Lose("a"), news))
        payment = scene.tries.get("a")
        if payment is None or not payment.is_paid:
            raise ShopTrouble(
                "An honest buyer cannot pay for an honest order: " + stage.tape.take()[-1].response
            )
        status = payment.answered.get(door)
        if status is None or status >= 400:
            said = "대답하지 않았습니다" if status is None else f"{status}로 답했습니다"
            says = "answered nothing" if status is None else f"answered {status}"
            shut[door] = Words(
                f"정직하게 결제한 구매자의 소식에 [{door}]이 {said}. 주소, 로그인, CSRF 토큰, 서명 비밀을 "
                "확인하세요. 이 문으로 하는 공격은 아무것도 증명하지 못합니다.",
                f"[{door}] {says} to an honest buyer who has paid. Look at its address, a login, a CSRF "
                "token, the webhook secret: no attack through this door proves anything.",
            )
    return shut


def _doors(program: Program) -> Iterator[Door]:
    """Where this program comes to the shop."""
    for step in program:
        match step:
            case Together(parts):
                yield from _doors(parts)
            case Callback():
                yield "callback"
            case Redirect():
                yield "redirect"
            case Webhook() | Forge():
                yield "webhook"


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
            yield Certifier(stage, seed, command, _rehearse(stage))
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
        gone: Words | None = None
        # Time never goes back: whatever moves it is tried when everything else has been.
        for number, attack in enumerate(sorted(attacks, key=_moves_time), 1):
            outcome = Outcome(attack.named, "trouble", why=gone)
            if gone is None:
                try:
                    outcome = certifier.attack(attack, shorten=shorten)
                except ShopTrouble as trouble:
                    # It died and does not come back; what was found until then is still told.
                    gone = Words(
                        f"상점이 다시 뜨지 않습니다. {trouble}", f"The shop is gone. {trouble}"
                    )
                    outcome = replace(outcome, why=gone)
            outcomes.append(outcome)
            show(number, outcome)
    seconds = time.monotonic() - clock
    return Run(adapter.name, url, seed, version("naru"), began, seconds, tuple(outcomes))
