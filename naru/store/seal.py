"""Sealing: secrets and personal data are kept as AES-256-GCM blobs, whose keys are not in the database.

The root key lives outside (NARU_SECRET). A key derived from it (HKDF-SHA256) seals the data keys of
the table `data_keys`, and the newest of those seals everything else. A blob is

    0x01 | id of its data key, 4 bytes | nonce, 12 bytes | ciphertext and tag

and is bound to its place: table, column and row go into the associated data, so a blob that was
copied to another row or column does not open there. Source: RELIABILITY §5.6, decision 0012.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from naru.domain.errors import NaruError
from naru.store.unavailable import StoreUnavailable

DATA_KEY_BYTES = 32
NONCE_BYTES = 12
# A running process seals with a new data key at the latest after this time; it opens what the new
# key has sealed at once.
LOOK_AGAIN_SECONDS = 60.0

_FORM = b"\x01"
_HEAD_BYTES = 1 + 4
_BLOB_BYTES_MIN = _HEAD_BYTES + NONCE_BYTES + 16

CHANNEL_SETTINGS = "channels.settings"
WEBHOOK_SECRET = "merchants.webhook_secret"  # noqa: S105  # the name of a column
PAYMENT_SECRETS = "payment_secrets.sealed"
DEPOSIT_SECRETS = "deposit_secrets.sealed"
IDEMPOTENCY = "idempotency.sealed"
NOTICES = "notices.sealed"
CERTIFICATIONS = "certifications.sealed"
BILLING_KEYS = "billing_keys.sealed"
CASH_RECEIPTS = "cash_receipts.sealed"
ERRANDS = "errands.sealed"
SCHEDULES = "schedules.sealed"
QUICK_PREPARED = "quick_prepared.sealed"

Random = Callable[[int], bytes]


class BrokenSeal(StoreUnavailable):
    """This blob was changed, belongs to another row, or its data key is gone."""


class WrongRootKey(NaruError):
    """The root key does not open the data keys of this database."""


class UnknownDataKey(NaruError):
    """Sealed with a data key that we have not seen: the table of keys has to be read again."""

    def __init__(self, key_id: int) -> None:
        self.key_id = key_id
        super().__init__(f"data key {key_id}")


class SealedKey(NamedTuple):
    """A data key as the database keeps it."""

    id: int
    sealed: bytes


class Keyring:
    """The data keys of one database, opened. One per `Store`; `learn` fills it.

    Without a root key it stays empty, and sealing or opening raises WrongRootKey. `old_root_key` is
    believed beside the new one while the root key is changed. `random` is where nonces and data
    keys come from.
    """

    def __init__(
        self,
        root_key: bytes | None,
        old_root_key: bytes | None = None,
        random: Random = os.urandom,
    ) -> None:
        self._roots = [_derived(each) for each in (root_key, old_root_key) if each is not None]
        self._random = random
        self._keys: dict[int, AESGCM] = {}
        self._gone: set[int] = set()
        self._newest = 0

    @property
    def can_open(self) -> bool:
        """Was a root key given?"""
        return bool(self._roots)

    @property
    def newest(self) -> int:
        """The id of the data key that seals; 0 before there is one."""
        return self._newest

    def seal(self, plain: bytes, place: str, row: object) -> bytes:
        """The blob for this row of this place ("table.column"). Raises WrongRootKey without a key."""
        if not self._newest:
            raise WrongRootKey("the store was opened without its root key")
        head = _FORM + self._newest.to_bytes(4, "big")
        nonce = self._random(NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, plain, _bound(head, place, row))
        return head + nonce + sealed

    def open(self, blob: bytes, place: str, row: object) -> bytes:
        """What was sealed. Raises BrokenSeal, UnknownDataKey, and WrongRootKey without a key."""
        key_id = key_of(blob)
        key = self._keys.get(key_id)
        if key is None:
            if not self._roots:
                raise WrongRootKey("the store was opened without its root key")
            if key_id not in self._gone:
                raise UnknownDataKey(key_id)
            raise BrokenSeal(f"{place} of {row} is sealed with data key {key_id}, which is gone")
        try:
            return key.decrypt(
                blob[_HEAD_BYTES : _HEAD_BYTES + NONCE_BYTES],
                blob[_HEAD_BYTES + NONCE_BYTES :],
                _bound(blob[:_HEAD_BYTES], place, row),
            )
        except InvalidTag:
            raise BrokenSeal(
                f"{place} of {row} does not open: it was changed, or put there from elsewhere"
            ) from None

    def learn(self, rows: Sequence[SealedKey], looked_for: int | None = None) -> None:
        """Take over the table of data keys. `looked_for` is a key id that a blob has named.

        Raises WrongRootKey when the newest key of a ring that was empty does not open.
        """
        keys: dict[int, AESGCM] = {}
        for row in rows:
            # A key in hand stays: its wrapping may meanwhile be that of another root key.
            if (known := self._keys.get(row.id)) is not None:
                keys[row.id] = known
                continue
            try:
                keys[row.id] = AESGCM(self.unwrap(row))
            except WrongRootKey:
                if not self._keys:
                    raise
        self._keys = keys
        self._newest = max(keys, default=0)
        self._gone = set() if looked_for is None else (self._gone | {looked_for}) - set(keys)

    def make_key(self, key_id: int) -> SealedKey:
        """A fresh data key, sealed by the root key."""
        return self.wrap(key_id, self._random(DATA_KEY_BYTES))

    def wrap(self, key_id: int, data_key: bytes) -> SealedKey:
        """This data key, sealed by the (new) root key."""
        if not self._roots:
            raise WrongRootKey("the store was opened without its root key")
        nonce = self._random(NONCE_BYTES)
        sealed = self._roots[0].encrypt(nonce, data_key, _bound(_FORM, "data_keys.sealed", key_id))
        return SealedKey(key_id, _FORM + nonce + sealed)

    def unwrap(self, row: SealedKey) -> bytes:
        """The data key itself, by the new root key or the old one. Raises WrongRootKey."""
        nonce, sealed = row.sealed[1 : 1 + NONCE_BYTES], row.sealed[1 + NONCE_BYTES :]
        for root in self._roots:
            try:
                return root.decrypt(nonce, sealed, _bound(_FORM, "data_keys.sealed", row.id))
            except (InvalidTag, ValueError):
                continue
        raise WrongRootKey(
            "the root key is not the one that this database was sealed with (data key "
            f"{row.id} does not open)"
        )


def key_of(blob: bytes) -> int:
    """The id of the data key that a blob names. Raises BrokenSeal for what is no blob."""
    if len(blob) < _BLOB_BYTES_MIN or blob[:1] != _FORM:
        raise BrokenSeal("this is no sealed blob")
    return int.from_bytes(blob[1:_HEAD_BYTES], "big")


def sealed_keys(rows: Iterable[Any]) -> list[SealedKey]:
    """Rows of `data_keys`."""
    return [SealedKey(row["id"], row["sealed"]) for row in rows]


def _derived(root_key: bytes) -> AESGCM:
    # The root key serves several purposes (tokens, signatures); each has a key of its own.
    return AESGCM(HKDF(SHA256(), DATA_KEY_BYTES, None, b"naru data keys 1").derive(root_key))


def _bound(head: bytes, place: str, row: object) -> bytes:
    return head + f"{place}\0{row}".encode()
