"""Reading what comes in, and serving: what every shop does before it thinks of money."""

from __future__ import annotations

import os
import re
from typing import Any
from wsgiref.types import WSGIApplication

from flask import abort, request
from standardwebhooks import Webhook
from werkzeug.serving import WSGIRequestHandler, make_server

IMP_UID = re.compile(r"[A-Za-z0-9_-]{1,32}")
BODY_BYTES_MAX = 64 * 1024
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def told() -> dict[str, Any]:
    """What a callback, a webhook or a redirect says; HTTP 400 for what none of them would say."""
    request.max_content_length = BODY_BYTES_MAX
    try:
        fields = request.args if request.method == "GET" else request.get_json(silent=True)
    except RecursionError:
        fields = None
    if fields is None:
        fields = request.form
    if not hasattr(fields, "get"):
        abort(400)
    imp_uid, merchant_uid = fields.get("imp_uid"), fields.get("merchant_uid")
    if not isinstance(imp_uid, str) or not IMP_UID.fullmatch(imp_uid):
        abort(400)
    if not isinstance(merchant_uid, str) or len(merchant_uid) > 200 or CONTROL.search(merchant_uid):
        abort(400)
    return dict(fields)


def check_signature() -> None:
    """HTTP 401 for a webhook that is not signed by the gateway."""
    try:
        Webhook(os.environ["WEBHOOK_SECRET"]).verify(request.get_data(), dict(request.headers))
    except Exception:
        abort(401)


def serve(app: WSGIApplication) -> None:
    """Serve in threads at PORT, until killed."""

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            pass

    make_server(
        "127.0.0.1", int(os.environ["PORT"]), app, threaded=True, request_handler=Quiet
    ).serve_forever()
