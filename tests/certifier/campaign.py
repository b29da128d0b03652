"""The certifier certified: every small shop beside what must be said of it.

`make certify` tries every attack on every shop and prints what was found. A broken shop must break the rules of its row in shops.tsv, and
no others; a correct one none; and every attack that a shop can fail must be failed by one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from naru.certifier.adapter import read_adapter
from naru.certifier.attacks import ATTACKS
from naru.certifier.attacks.attack import Attack
from naru.certifier.certify import certify
from naru.certifier.result import Run
from naru.certifier.shop import free_origin
from tests.certifier.shops import SmallShop

SEED = 7


def certified(
    shop: SmallShop, attacks: Sequence[Attack] = ATTACKS, *, shorten: bool = False
) -> Run:
    """Certify one shop."""
    command = ["naru", "certify", "--adapter", f"tests/certifier/shops/{shop.name}/shop.toml"]
    adapter = read_adapter(shop.adapter)
    return certify(adapter, free_origin(), attacks, seed=SEED, command=command, shorten=shorten)


def attacks_called(names: Iterable[str]) -> list[Attack]:
    """These attacks. Raises KeyError."""
    known = {attack.name: attack for attack in ATTACKS}
    return [known[name] for name in names]


def found(run: Run) -> dict[str, set[str]]:
    """The rules that each attack broke."""
    return {
        outcome.attack.name: {breach.rule.id for breach in outcome.breaches}
        for outcome in run.outcomes
        if outcome.verdict == "broken"
    }


def complaints(shop: SmallShop, run: Run) -> list[str]:
    """What was said of this shop that is not so, or was not said that is."""
    said = found(run)
    rules = set().union(*said.values())
    told = [
        f"{outcome.attack.name} could not be tried: {outcome.why.en if outcome.why else ''}"
        for outcome in run.outcomes
        if outcome.verdict == "trouble"
    ]
    for name, broken in said.items():
        # In a storm one mistake has many consequences.
        if not broken & shop.breaks and not (shop.breaks and name.startswith("storm-")):
            told.append(f"{name} broke {', '.join(sorted(broken))}, which is not its mistake")
    if missing := shop.breaks - rules:
        told.append(f"{', '.join(sorted(missing))} was not found to be broken")
    return told
