"""What a buyer's browser must do next to reach the PG's window."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go there."""

    url: str


@dataclass(frozen=True, slots=True)
class Form:
    """Post these fields there."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    charset: str = "utf-8"


WindowPlan = Redirect | Form
