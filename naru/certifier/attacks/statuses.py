"""A payment that is none (yet, or any more), presented as paid."""

from random import Random

from naru.certifier.attacks.attack import Family, dear
from naru.certifier.steps import (
    Advance,
    Approve,
    Callback,
    Close,
    Decline,
    Deposit,
    Forge,
    Open,
    Place,
    Program,
    Redirect,
    Refund,
    Webhook,
)

STATUSES = Family("결제되지 않은 결제", "Payments that are none")


@STATUSES.attack(
    "never-paid",
    "창만 열고 결제했다고 알리기",
    "A window was opened, nothing was paid",
    "결제창을 열면 imp_uid가 생깁니다. 결제하지 않고 그 번호를 알립니다.",
)
def never_paid(chance: Random) -> Program:
    """Opening the window makes an imp_uid. It is reported without paying."""
    return (Place("A", dear(chance)), Open("a", "A"), Callback("a"))


@STATUSES.attack(
    "closed-as-paid",
    "창을 닫고 결제했다고 알리기",
    "Closed, reported as paid",
    "결제창을 닫은 뒤 성공했다고 알립니다.",
)
def closed_as_paid(chance: Random) -> Program:
    """The window is closed, and success is reported."""
    return (Place("A", dear(chance)), Open("a", "A"), Close("a"), Callback("a"))


@STATUSES.attack(
    "failed-as-paid",
    "거절된 결제를 결제됨으로 알리기",
    "Declined, reported as paid",
    "카드는 거절되었지만(failed) 콜백은 성공이라고 말합니다. 금액과 주문번호는 맞습니다.",
)
def failed_as_paid(chance: Random) -> Program:
    """The card was declined, the callback says success. Amount and order number are right."""
    return (Place("A", dear(chance)), Open("a", "A"), Decline("a"), Callback("a"))


@STATUSES.attack(
    "failed-as-paid-redirect",
    "돌아오는 주소의 imp_success를 true로",
    "imp_success=true in the redirect",
    "거절된 결제가 imp_success=false로 돌아오는데, 주소창에서 true로 고칩니다.",
    needs="redirect",
)
def failed_as_paid_redirect(chance: Random) -> Program:
    """The declined payment comes back with imp_success=false, which is changed to true."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", surface="mobile"),
        Decline("a"),
        Redirect("a", says="{order}"),
    )


@STATUSES.attack(
    "failed-as-paid-webhook",
    "거절된 결제에 paid 웹훅 보내기",
    "A forged webhook says paid",
    "거절된 결제의 번호로 status가 paid인 웹훅을 보냅니다.",
    needs="webhook",
)
def failed_as_paid_webhook(chance: Random) -> Program:
    """A webhook with status paid is posted for a declined payment."""
    return (Place("A", dear(chance)), Open("a", "A"), Decline("a"), Forge("a"))


@STATUSES.attack(
    "failed-as-paid-form",
    "거절된 결제에 다른 형식의 paid 웹훅 보내기",
    "A forged webhook, in either format",
    "웹훅에는 JSON과 폼 두 형식이 있습니다. 거절된 결제에 status가 paid인 웹훅을 두 형식으로 다 보냅니다. "
    "콘솔에서 고른 형식만 서명을 확인하는 상점은 속습니다.",
    needs="webhook",
)
def failed_as_paid_form(chance: Random) -> Program:
    """Webhooks are JSON or a form. One that says paid is posted in both for a declined payment: who
    checks signatures in one format alone is fooled.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Decline("a"),
        Forge("a", form=True),
        Forge("a", form=False),
    )


@STATUSES.attack(
    "ready-as-paid",
    "가상계좌 발급을 결제로 알리기",
    "An account issued, reported as paid",
    "가상계좌만 발급받고 입금하지 않습니다. 콜백의 success는 true이고 금액도 맞습니다. 공식 예제의 switch가 빠지면 물건이 나갑니다.",
)
def ready_as_paid(chance: Random) -> Program:
    """An account is issued and nothing is deposited. The callback's success is true and the amount
    is right.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Callback("a"),
        Webhook("a"),
    )


@STATUSES.attack(
    "ready-as-paid-redirect",
    "가상계좌 발급을 리디렉션으로 알리기",
    "An account issued, by redirect",
    "휴대폰에서 발급받은 가상계좌가 imp_success=true로 돌아옵니다.",
    needs="redirect",
)
def ready_as_paid_redirect(chance: Random) -> Program:
    """An account issued on a phone comes back with imp_success=true."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank", surface="mobile"),
        Approve("a"),
        Redirect("a"),
    )


@STATUSES.attack(
    "ready-as-paid-webhook",
    "가상계좌에 paid 웹훅 보내기",
    "A forged deposit",
    "입금하지 않은 가상계좌에 status가 paid인 웹훅을 흉내 내 보냅니다.",
    needs="webhook",
)
def ready_as_paid_webhook(chance: Random) -> Program:
    """A webhook with status paid is forged for an account that nobody paid into."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Webhook("a"),
        Forge("a", signature="stolen"),
        Forge("a"),
    )


@STATUSES.attack(
    "cancelled-as-paid",
    "취소된 결제를 결제됨으로 알리기",
    "Given back, then reported as paid",
    "결제하고 곧바로 전액을 취소합니다. 상점은 그 뒤에야 처음 소식을 듣습니다.",
)
def cancelled_as_paid(chance: Random) -> Program:
    """Paid and given back at once; only then the shop hears of it for the first time."""
    return (Place("A", dear(chance)), Open("a", "A"), Approve("a"), Refund("a"), Callback("a"))


@STATUSES.attack(
    "cancelled-as-paid-redirect",
    "취소된 결제가 리디렉션으로 돌아오기",
    "Given back, then the redirect",
    "휴대폰에서 결제하고, 돌아가기 전에 전액이 취소됩니다. 그 뒤에 m_redirect_url로 들어옵니다.",
    needs="redirect",
)
def cancelled_as_paid_redirect(chance: Random) -> Program:
    """Paid on a phone and given back; only then the browser comes to m_redirect_url."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", surface="mobile"),
        Approve("a"),
        Refund("a"),
        Redirect("a"),
    )


@STATUSES.attack(
    "cancelled-as-paid-webhook",
    "취소 뒤에 온 늦은 paid 웹훅",
    "The late webhook of a payment that went back",
    "결제하고 전액을 취소한 뒤, 처음의 paid 웹훅이 뒤늦게 도착합니다. 본문만 믿는 상점은 물건을 내보냅니다.",
    needs="webhook",
)
def cancelled_as_paid_webhook(chance: Random) -> Program:
    """After the money went back the first webhook, saying paid, arrives at last. Who believes its
    body sends goods.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a"),
        Refund("a"),
        Webhook("a", status="paid"),
        Webhook("a"),
    )


@STATUSES.attack(
    "deposit-too-little",
    "가상계좌에 덜 입금하기",
    "Too little is deposited",
    "가상계좌에 1,000원만 입금하고 결제했다고 알립니다.",
    needs="callback webhook",
)
def deposit_too_little(chance: Random) -> Program:
    """1,000 won are paid into the account, and the payment is reported."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Deposit("a", 1_000),
        Callback("a"),
        Webhook("a"),
    )


@STATUSES.attack(
    "deposit-too-late",
    "기한이 지난 뒤에 입금하기",
    "Deposited after the due date",
    "입금 기한이 한 달 지난 계좌에 입금합니다. PG사가 받지 않은 돈은 결제가 아닙니다.",
    needs="callback webhook",
)
def deposit_too_late(chance: Random) -> Program:
    """The deposit comes a month after the account's time. What the gateway did not take is no
    payment.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Callback("a"),
        Advance("31d"),
        Deposit("a"),
        Callback("a"),
        Webhook("a"),
    )


@STATUSES.attack(
    "account-expired",
    "입금하지 않은 채 기한이 지나기",
    "The account's time runs out",
    "기한이 지나도록 입금하지 않고, 그 뒤에 결제했다고 알립니다.",
    needs="callback webhook",
)
def account_expired(chance: Random) -> Program:
    """Nothing is deposited until the account's time is over; then the payment is reported."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Advance("31d"),
        Callback("a"),
        Webhook("a"),
    )


@STATUSES.attack(
    "deposit-in-parts",
    "두 번에 나누어 입금하기",
    "Deposited in two parts",
    "절반을 입금하고 알리고, 나머지를 입금하고 알립니다. 다 들어왔을 때 한 번만 나가야 합니다.",
    needs="callback webhook",
)
def deposit_in_parts(chance: Random) -> Program:
    """Half is deposited and reported, then the rest. Goods leave once, when all is there."""
    price = dear(chance)
    return (
        Place("A", price),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Deposit("a", price // 2),
        Callback("a"),
        Webhook("a"),
        Deposit("a", price - price // 2),
        Webhook("a"),
    )


@STATUSES.attack(
    "deposit-twice",
    "두 번 입금하기",
    "Deposited twice",
    "같은 계좌에 두 번 입금합니다. 물건은 한 번 나갑니다.",
    needs="webhook",
)
def deposit_twice(chance: Random) -> Program:
    """The whole price is deposited twice. Goods leave once."""
    return (
        Place("A", dear(chance)),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Webhook("a"),
        Deposit("a"),
        Webhook("a"),
        Deposit("a"),
        Webhook("a"),
    )


@STATUSES.attack(
    "deposit-too-much",
    "더 많이 입금하기",
    "Too much is deposited",
    "주문 금액보다 많이 입금합니다.",
    needs="webhook",
)
def deposit_too_much(chance: Random) -> Program:
    """More than the price is deposited."""
    price = dear(chance)
    return (
        Place("A", price),
        Open("a", "A", method="vbank"),
        Approve("a"),
        Webhook("a"),
        Deposit("a", price + 10_000),
        Webhook("a"),
    )


@STATUSES.attack(
    "unknown-outcome",
    "결과를 아무도 모르는 결제",
    "Nobody knows the outcome yet",
    "게이트웨이가 PG사의 대답을 듣지 못했습니다. 그동안에는 결제도 실패도 아닙니다. 나중에 확인되어 웹훅이 옵니다.",
    needs="callback webhook",
)
def unknown_outcome(chance: Random) -> Program:
    """The PG's answer never came. Until the gateway has asked again it is neither paid nor failed;
    then the webhook comes.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a", scenario="approve_cut_done"),
        Callback("a"),
        Advance("2m"),
        Callback("a"),
        Webhook("a"),
    )


@STATUSES.attack(
    "unknown-outcome-undone",
    "결과를 몰랐다가 결국 없던 결제",
    "Nobody knew, and nothing was paid",
    "PG사의 대답이 끊겼고, 나중에 알아보니 승인은 없었습니다. 그사이에 알려 온 콜백에 물건을 내보내면 안 됩니다.",
    needs="callback webhook",
)
def unknown_outcome_undone(chance: Random) -> Program:
    """The PG's answer broke off, and it turns out that nothing was approved. Goods that left
    meanwhile left for nothing.
    """
    return (
        Place("A", dear(chance)),
        Open("a", "A"),
        Approve("a", scenario="approve_cut_undone"),
        Callback("a"),
        Advance("10m"),
        Callback("a"),
        Webhook("a"),
    )
