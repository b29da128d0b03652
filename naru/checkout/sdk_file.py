"""The SDK as one file: its parts joined, with the generation and the table of window modes in front.

There is no build step: what is served is what lies in `sdk/`, inside one function and without its
comments, which are for us and not for the buyer's phone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from naru.domain.pg_profile import PROFILES

Generation = Literal["old", "new"]

PARTS = (
    "params.js",
    "messages.js",
    "iframe.js",
    "popup.js",
    "redirect.js",
    "certification.js",
    "ui.js",
    "wishes.js",
    "brandpay.js",
    "imp.js",
)
_FOLDER = Path(__file__).parent / "sdk"

# Whole lines only: a comment mark inside a string is left alone.
_COMMENTS = re.compile(r"^[ \t]*(?://[^\n]*|/\*\*(?:(?!\*/)[\s\S])*\*/[ \t]*)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SdkFile:
    """One served file, plain and compressed, with its ETag."""

    plain: bytes
    gzipped: bytes
    etag: str


def join_sdk(generation: Generation) -> SdkFile:
    """Join the parts for `old` (/js/iamport.payment-x.y.z.js) or `new` (/v1/iamport.js)."""
    modes = {code: profile.to_sdk() for code, profile in PROFILES.items()}
    parts = "\n".join((_FOLDER / part).read_text(encoding="utf-8") for part in PARTS)
    text = (
        "// Naru: window.IMP for this page. Its parts lie in naru/checkout/sdk/.\n"
        "(function () {\n"
        '"use strict";\n'
        f"var GENERATION = {json.dumps(generation)};\n"
        f"var WINDOW_MODES = {json.dumps(modes, separators=(',', ':'))};\n"
        f"{_COMMENTS.sub('', parts)}"
        "})();\n"
    )
    plain = text.encode("utf-8")
    return SdkFile(
        plain=plain,
        gzipped=gzip.compress(plain, compresslevel=9, mtime=0),
        etag=f'"{hashlib.sha256(plain).hexdigest()[:24]}"',
    )
