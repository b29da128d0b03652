"""Every attack and accident that the certifier knows, in the order in which they are tried."""

from __future__ import annotations

from naru.certifier.attacks.accidents import ACCIDENTS
from naru.certifier.attacks.amounts import AMOUNTS
from naru.certifier.attacks.attack import Attack
from naru.certifier.attacks.forgeries import FORGERIES
from naru.certifier.attacks.honest import HONEST
from naru.certifier.attacks.launch import LAUNCH
from naru.certifier.attacks.pages import PAGES
from naru.certifier.attacks.statuses import STATUSES
from naru.certifier.attacks.storms import STORMS
from naru.certifier.attacks.swaps import SWAPS
from naru.certifier.attacks.weathers import WEATHERS

FAMILIES = (HONEST, SWAPS, AMOUNTS, STATUSES, FORGERIES, ACCIDENTS, WEATHERS, STORMS, LAUNCH, PAGES)
ATTACKS: tuple[Attack, ...] = tuple(attack for family in FAMILIES for attack in family.attacks)
