"""The door of the merchant's server: i'mport's REST API (V1), spoken on plain ASGI.

`door(gateway)` is the application. One module per tag of the API holds the operations of that tag; `operations.py` is the
table they make, `read_fields.py` and `coerce.py` turn a request into its type, `annotations.py` and `envelope.py` turn the answer into
V1's bytes.
"""

from __future__ import annotations

from naru.payments.gateway import Gateway
from naru.rest import authenticate, codes, payments, payments_validation, users, vbanks
from naru.rest.door import Door
from naru.rest.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *authenticate.OPERATIONS,
    *users.OPERATIONS,
    *payments.OPERATIONS,
    *payments_validation.OPERATIONS,
    *vbanks.OPERATIONS,
    *codes.OPERATIONS,
)


def door(gateway: Gateway) -> Door:
    """The ASGI application of the merchant's server."""
    return Door(gateway, OPERATIONS)


__all__ = ["OPERATIONS", "Door", "door"]
