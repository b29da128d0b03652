"""How the machine is run: whole, or from a given beginning with a few of its rules."""

from __future__ import annotations

import inspect
from functools import partialmethod
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import initialize

from tests.model.people import PeopleRules
from tests.support.scale import often

STEPS_OF_EXAMPLE = 50

Begun = tuple[tuple[str, dict[str, Any]], ...]

NOTHING: Begun = ()
OPENED: Begun = (
    ("open_window", {"merchant": 0, "order": "order-a", "amount": 1_000, "method": "card"}),
)
PAID: Begun = (*OPENED, ("come_back", {"which": 0, "fate": "ok"}))
ACCOUNT: Begun = (
    (
        "issue",
        {
            "merchant": 0,
            "order": "order-a",
            "amount": 1_000,
            "days": 1,
            "fate": "ok",
            "key": None,
        },
    ),
)
BARCODE: Begun = (("issue", {**ACCOUNT[0][1], "path": "/cvs"}),)
CARD: Begun = (
    (
        "keep_card",
        {"merchant": 0, "customer": "gildong", "card": "4518421234567811", "fate": "ok"},
    ),
)
PLANNED: Begun = (
    *CARD,
    (
        "plan",
        {
            "merchant": 0,
            "order": "month-1",
            "customer": "gildong",
            "amount": 1_000,
            "seconds": 600,
        },
    ),
)
# Of 1,000 in an account 400 were given back.
LEFT: Begun = (
    *ACCOUNT,
    ("deposit", {"which": 0, "how": "rest"}),
    (
        "cancel",
        {
            "asks": 0,
            "which": 0,
            "amount": 400,
            "checksum": None,
            "tax_free": 0,
            "vat": None,
            "webhook": False,
            "fate": "ok",
            "key": None,
        },
    ),
)
SETTLES: Begun = (("issue", {**ACCOUNT[0][1], "pg": "settle"}),)
KEPT: Begun = (
    *CARD,
    ("keep_card", {**CARD[0][1], "customer": "cheolsu", "pg": "kcp_quick"}),
)
DOUBTED: Begun = (*OPENED, ("come_back", {"which": 0, "fate": "lost"}))
SHORT: Begun = (*ACCOUNT, ("deposit", {"which": 0, "how": "short"}))
ANNOUNCED_SINCE: Begun = (
    *OPENED,
    (
        "announce",
        {"merchant": 0, "order": "order-a", "amount": 64_900, "again": False, "key": None},
    ),
)
DELETED: Begun = (
    *CARD,
    ("look_at_card", {"merchant": 0, "customer": "gildong"}),
    ("delete_card", {"merchant": 0, "customer": "gildong", "told": True}),
)
PUT_OFF: Begun = (
    *PLANNED,
    ("move_plan", {"merchant": 0, "order": "month-1", "seconds": 86_400, "again": False}),
)
# A card was refused when it was checked, and is checked again.
CHECKED: Begun = (
    *KEPT,
    ("plan", {**PLANNED[-1][1], "checking": 100, "fates": ("ok", "declined", "ok")}),
    ("plan", {**PLANNED[-1][1], "checking": 100, "fates": ("ok", "ok", "ok")}),
)
# An order is planned, and after that its customer's card is kept by another PG.
MOVED: Begun = (*PLANNED, ("keep_card", {**CARD[0][1], "pg": "kcp_quick"}))
JOINED: Begun = (
    ("open_window", {**OPENED[0][1], "pg": "kcp_quick"}),
    ("join", {"member": "gildong"}),
    ("enter_pin", {"which": 0, "member": "gildong"}),
    ("announce_quick", {"merchant": 0, "order": "order-b", "amount": 1_004, "again": False}),
    (
        "pay_money",
        {
            "merchant": 0,
            "order": "order-b",
            "amount": 1_000,
            "member": "gildong",
            "which": 0,
            "fate": "ok",
        },
    ),
)


def how(examples: int, steps: int = STEPS_OF_EXAMPLE, **more: Any) -> settings:
    """By day the same examples every time, by night others."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=bool(often(1, 0)),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **more,
    )


def narrow(begun: Begun, rules: tuple[str, ...]) -> type[PeopleRules]:
    """The machine that begins so, and leaves Hypothesis only these rules to choose from."""

    class Run(PeopleRules):
        """Counts its examples; the clean-up after a found deviation may find it again."""

        examples: ClassVar[int] = 0

        @initialize()
        def two_merchants(self) -> None:
            """Signed in, and so far already."""
            type(self).examples += 1
            super().two_merchants()
            for name, how in begun:
                getattr(self, name)(**how)

    known = {
        name: member
        for name, member in inspect.getmembers(PeopleRules)
        if hasattr(member, "hypothesis_stateful_rule")
    }
    assert set(rules) <= set(known)
    for name in set(known) - set(rules):
        setattr(Run, name, partialmethod(known[name]))
    return Run
