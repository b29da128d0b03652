"""A step, told in one sentence of each language; what is as usual stays unsaid."""

from __future__ import annotations

from collections import defaultdict

from naru.certifier import steps as do
from naru.certifier.result import Words
from naru.certifier.steps import Step

_WEATHERS = {
    "slow": Words("늦게 답합니다", "answers late"),
    "error": Words("500으로 답합니다", "answers 500"),
    "busy": Words("429로 답합니다", "answers 429"),
    "down": Words("연결을 끊습니다", "cannot be reached"),
    "lost": Words("일은 하지만 대답이 사라집니다", "does it, and its answer is lost"),
    "silent": Words("일은 하지만 대답하지 않습니다", "does it, and never answers"),
    "garbage": Words("깨진 대답을 합니다", "answers garbage"),
}
_WHO = defaultdict(
    lambda: Words("다른 사람", "somebody else"),
    thief=Words("도둑", "the thief"),
    victim=Words("다른 손님", "another customer"),
)
_SIGNED = {
    "none": Words("서명 없이", "unsigned"),
    "wrong": Words("다른 열쇠로 서명해", "signed by another key"),
    "stolen": Words("다른 웹훅의 서명을 붙여", "with another webhook's signature"),
}
_REWORDED = {
    "fields": Words("처음 보는 필드를 달고", "with fields that nobody had heard of"),
    "event": Words("에스크로 이벤트 모양으로", "in the shape of an event of escrow"),
    "headers": Words("다른 User-Agent와 charset을 달고", "with another User-Agent and a charset"),
}


def tell(step: Step) -> Words:
    """What is done, for people who read no code."""
    match step:
        case do.Place(order, amount, by):
            who = Words("", "") if by == "buyer" else Words(f" ({_WHO[by].ko})", f" ({by})")
            return Words(
                f"{order}를 {amount:,}원에 주문합니다{who.ko}.",
                f"Orders {order} for {amount:,} KRW{who.en}.",
            )
        case do.Change(order, amount):
            return Words(
                f"주문 {order}의 값이 {amount:,}원이 됩니다.",
                f"Order {order} costs {amount:,} KRW now.",
            )
        case do.Open():
            return _opening(step)
        case do.Press():
            return _pressing(step)
        case do.Approve(payment, scenario):
            end = Words("", "") if scenario is None else Words(f" ({scenario})", f" ({scenario})")
            return Words(
                f"{payment}: 인증하고 결제합니다{end.ko}.",
                f"{payment}: authenticates and pays{end.en}.",
            )
        case do.Decline(payment, reason):
            return Words(
                f"{payment}: 카드사가 거절합니다 ({reason}).",
                f"{payment}: the card is declined ({reason}).",
            )
        case do.Close(payment):
            return Words(f"{payment}: 결제창을 닫습니다.", f"{payment}: closes the window.")
        case do.Deposit(payment, amount):
            much = Words("전액을", "all of it") if amount is None else _won(amount, ko_suffix="을")
            return Words(
                f"{payment}: 가상계좌에 {much.ko} 입금합니다.",
                f"{payment}: deposits {much.en} into the account.",
            )
        case do.Refund(payment, amount):
            much = (
                Words("남은 돈을 모두", "all that is left")
                if amount is None
                else _won(amount, ko_suffix="을")
            )
            return Words(
                f"{payment}: 상점 직원이 {much.ko} 환불합니다.",
                f"{payment}: the staff give back {much.en}.",
            )
        case do.CloseAccount(payment):
            return Words(
                f"{payment}: 상점 직원이 가상계좌를 닫습니다.",
                f"{payment}: the staff close the virtual account.",
            )
        case do.Callback(payment):
            claim = _claim(step)
            return Words(
                f"{payment}: 페이지의 콜백이 서버에{claim.ko} 알립니다.",
                f"{payment}: the page's callback tells the server{claim.en}.",
            )
        case do.Redirect(payment):
            claim = _claim(step)
            failed = "" if step.success else ", imp_success=false"
            return Words(
                f"{payment}: 브라우저가 m_redirect_url로{claim.ko}{failed} 돌아옵니다.",
                f"{payment}: the browser comes to m_redirect_url{claim.en}{failed}.",
            )
        case do.Webhook(payment, status, times):
            kind, often = f" {status}" if status else "", f" ×{times}" if times > 1 else ""
            return Words(
                f"{payment}: 진짜{kind} 웹훅이 도착합니다{often}.",
                f"{payment}: the true{kind} webhook arrives{often}.",
            )
        case do.Reword(payment, how):
            so = _REWORDED[how]
            return Words(
                f"{payment}: 웹훅이 이제부터 {so.ko} 옵니다.",
                f"{payment}: from now on its webhooks come {so.en}.",
            )
        case do.Lose(payment):
            return Words(
                f"{payment}: 웹훅은 끝내 오지 않습니다.", f"{payment}: its webhooks never arrive."
            )
        case do.Forge(payment):
            claim, signed = _claim(step), _SIGNED[step.signature]
            at = f" (X-Forwarded-For: {step.address})" if step.address else ""
            return Words(
                f"{payment}: 도둑이 {signed.ko} {step.status} 웹훅을 보냅니다{claim.ko}{at}.",
                f"{payment}: the thief posts a webhook, {signed.en}, saying {step.status}"
                f"{claim.en}{at}.",
            )
        case do.Throw(door, body):
            return Words(
                f"{door}에 망가진 본문을 보냅니다: {body[:40]!r}",
                f"Throws a body that is none at the {door}: {body[:40]!r}",
            )
        case do.Together(parts):
            told = [tell(part) for part in parts]
            return Words(
                "한꺼번에: " + " ".join(each.ko for each in told),
                "All at once: " + " ".join(each.en for each in told),
            )
        case do.Weather(kind, path):
            where = "" if path == "/" else f" ({path})"
            return Words(
                f"게이트웨이가 {_WEATHERS[kind].ko}{where}.",
                f"The gateway {_WEATHERS[kind].en}{where}.",
            )
        case do.Calm():
            return Words("통신이 다시 좋아집니다.", "The weather is fine again.")
        case do.Advance(length):
            return Words(f"{length}이 지납니다.", f"{length} go by.")
        case do.Sweep():
            return Words("상점의 정리 작업(cron)이 돕니다.", "The shop's cron job runs.")


def _opening(step: do.Open) -> Words:
    what = _instead(step.amount, step.currency, step.merchant_uid)
    how = "" if step.method == "card" else f", {step.method}"
    phone = Words(", 휴대폰", ", on a phone") if step.surface == "mobile" else Words("", "")
    at = Words("", "")
    if step.at == "thief":
        at = Words(", 도둑의 가맹점에서", ", at the thief's own merchant")
    return Words(
        f"{step.payment}: 주문 {step.order}의 결제창을 엽니다{how}{phone.ko}{at.ko}{what.ko}.",
        f"{step.payment}: opens the window for order {step.order}{how}{phone.en}{at.en}{what.en}.",
    )


def _pressing(step: do.Press) -> Words:
    what = _instead(step.amount, step.currency, step.pays_for)
    phone = (
        Words("휴대폰 브라우저로", "on a phone")
        if step.surface == "mobile"
        else Words("브라우저로", "in a browser")
    )
    often = f" ×{step.times}" if step.times > 1 else ""
    ending = {
        "pays": Words("결제합니다", "pays"),
        "leaves": Words("승인되자마자 브라우저를 닫습니다", "is gone as soon as it is approved"),
        "closes": Words("결제창을 닫습니다", "closes the window"),
    }[step.ending]
    return Words(
        f"{step.payment}: {phone.ko} 주문 {step.order}의 버튼을 누르고{often} {ending.ko}{what.ko}.",
        f"{step.payment}: presses order {step.order}'s button {phone.en}{often}, and "
        f"{ending.en}{what.en}.",
    )


def _instead(amount: int | None, currency: str | None, number: str | None) -> Words:
    """What the page was made to say."""
    said = {"amount": amount, "currency": currency, "merchant_uid": number}
    parts = [f"{name}={value}" for name, value in said.items() if value is not None]
    if not parts:
        return Words("", "")
    return Words(f" (페이지를 고쳐 {', '.join(parts)})", f" (page changed: {', '.join(parts)})")


def _claim(step: do.Callback | do.Redirect | do.Forge) -> Words:
    said = {"merchant_uid": step.says, "imp_uid": step.imp_uid}
    parts = [f"{name}={text[:40]!r}" for name, text in said.items() if text is not None]
    if step.claims is not None:
        return Words(
            f" 주문 {step.claims}의 결제라고" + "".join(f" ({part})" for part in parts),
            f", for order {step.claims}" + "".join(f", {part}" for part in parts),
        )
    told = f" ({', '.join(parts)})" if parts else ""
    return Words(told, told)


def _won(amount: int, *, ko_suffix: str) -> Words:
    return Words(f"{amount:,}원{ko_suffix}", f"{amount:,} KRW")
