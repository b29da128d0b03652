"""`python -m naru.shop`: serve the demo shop."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import uvicorn

from naru.shop.app import Settings, create_app
from naru.shop.sms import Inbox, Solapi


def main() -> None:
    """Read the arguments and serve until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m naru.shop",
        description="A small shop that pays through a gateway that speaks i'mport.",
        # Arguments can be read by everybody on the machine, the environment cannot.
        epilog="Secrets may come from NARU_SHOP_IMP_SECRET, NARU_SHOP_WEBHOOK_SECRET and"
        " NARU_SHOP_SOLAPI_SECRET instead, so that no list of processes shows them.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--database", type=Path, default=Path("shop.sqlite3"))
    parser.add_argument("--gateway-url", default="http://127.0.0.1:8800")
    parser.add_argument("--sdk-url", help="address of the SDK file (default: the gateway's own)")
    parser.add_argument("--imp-key", required=True, help="REST API key")
    secret = os.environ.get("NARU_SHOP_IMP_SECRET")
    parser.add_argument("--imp-secret", default=secret, required=not secret, help="REST API secret")
    parser.add_argument("--user-code", required=True, help="what IMP.init is given")
    parser.add_argument(
        "--webhook-secret",
        default=os.environ.get("NARU_SHOP_WEBHOOK_SECRET"),
        help="whsec_…; with it, unsigned webhooks are refused",
    )
    parser.add_argument(
        "--allow-sandbox",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let play money count; this is the demo shop, so it does unless told otherwise",
    )
    parser.add_argument("--solapi-key", help="send real text messages through Solapi")
    parser.add_argument("--solapi-secret", default=os.environ.get("NARU_SHOP_SOLAPI_SECRET"))
    parser.add_argument("--solapi-from", help="the registered number messages come from")
    given = parser.parse_args()
    solapi = given.solapi_key, given.solapi_secret, given.solapi_from
    if any(solapi) and not all(solapi):
        parser.error("Solapi needs --solapi-key, --solapi-secret and --solapi-from together")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    app = create_app(
        Settings(
            database=given.database,
            gateway_url=given.gateway_url,
            api_key=given.imp_key,
            api_secret=given.imp_secret,
            user_code=given.user_code,
            sdk_url=given.sdk_url,
            webhook_secret=given.webhook_secret,
            allow_sandbox=given.allow_sandbox,
        ),
        Solapi(*solapi) if all(solapi) else Inbox(),
    )
    uvicorn.run(app, host=given.host, port=given.port, access_log=False)


if __name__ == "__main__":
    main()
