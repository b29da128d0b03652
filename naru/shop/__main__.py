"""`python -m naru.shop`: serve the demo shop; `--sweep`: finish what nobody told it about, for cron."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from naru.kit import KitError
from naru.shop.app import Settings, Shop, create_app
from naru.shop.sms import Inbox, Solapi

log = logging.getLogger("naru.shop")


def main() -> None:
    """Read the arguments and serve until stopped, or sweep once."""
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
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="do not serve: finish what was paid in the last three days and never reported, for cron",
    )
    given = parser.parse_args()
    solapi = given.solapi_key, given.solapi_secret, given.solapi_from
    if any(solapi) and not all(solapi):
        parser.error("Solapi needs --solapi-key, --solapi-secret and --solapi-from together")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings(
        database=given.database,
        gateway_url=given.gateway_url,
        api_key=given.imp_key,
        api_secret=given.imp_secret,
        user_code=given.user_code,
        sdk_url=given.sdk_url,
        webhook_secret=given.webhook_secret,
        allow_sandbox=given.allow_sandbox,
    )
    sender = Solapi(*solapi) if all(solapi) else Inbox()
    if given.sweep:
        sys.exit(_sweep(Shop(settings, sender)))
    import uvicorn  # Cron's sweep serves nobody, and starts twice as fast without.

    uvicorn.run(create_app(settings, sender), host=given.host, port=given.port, access_log=False)


def _sweep(shop: Shop) -> int:
    """The exit status: 0 when everything that was found is ended."""
    try:
        swept = shop.till.sweep()
    except KitError as trouble:
        log.error("the gateway cannot be asked: %r", trouble)
        return 1
    log.info(
        "%d payments asked about: %d orders finished, %d given back, %d told, %d to look at",
        *(swept.asked, len(swept.finished), len(swept.cancelled)),
        *(len(swept.told), len(swept.findings)),
    )
    return 1 if swept.troubles else 0


if __name__ == "__main__":
    main()
