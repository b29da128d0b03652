"""What we remember. The only room that speaks SQL.

`Store` hands out sessions; a `Session` offers the tables by name (`session.payments`, …).
`store.begin()` is one transaction; `store.direct()` makes every statement its own.
"""

from naru.store.connection import Store
from naru.store.house import Fenced, Guard
from naru.store.seal import WrongRootKey
from naru.store.transaction import Session
from naru.store.unavailable import StoreUnavailable

__all__ = ["Fenced", "Guard", "Session", "Store", "StoreUnavailable", "WrongRootKey"]
