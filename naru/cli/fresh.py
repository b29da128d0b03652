"""New names and secrets for merchants and channels."""

import base64
import secrets
import uuid


def user_code() -> str:
    """A 가맹점식별코드 of i'mport's shape: imp and eight digits."""
    return f"imp{secrets.randbelow(10**8):08d}"


def channel_key() -> str:
    """A channel key of i'mport's shape: channel-key- and a UUID."""
    return f"channel-key-{uuid.uuid4()}"


def api_key() -> tuple[str, str]:
    """imp_key and imp_secret; the secret has 384 random bits."""
    return f"imp_{secrets.token_hex(12)}", secrets.token_urlsafe(48)


def webhook_secret() -> str:
    """A signing secret of Standard Webhooks: whsec_ and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
