"""The whole error tree.

NaruError
 ├─ Refused             we understood and will not do it; doors answer `code` and the sentence
 │   ├─ NoSuchPayment · AlreadyPaid · AlreadyClaimed · ForbiddenStep
 │   ├─ NotCancellable · AlreadyCancelled · BalanceChanged · ExceedsBalance
 │   ├─ PartialCancelUnsupported · CancelInProgress
 │   ├─ AmountTooFine · BadAmount · UnknownCurrency
 │   ├─ NoChannel · TestChannelRefused · BadRequest · BadCustomerUid
 │   ├─ AlreadyPrepared · NotPrepared · PreparedDiffers · Superseded
 │   ├─ NoBillingKey · KeyInProgress · BeingChecked · BadCard · NotSupported
 │   ├─ AlreadyScheduled · NothingScheduled · ScheduleEnded · NotRetryable
 │   ├─ PgBusy            so many calls to this PG wait that not one more is begun
 │   ├─ TooManyAtOnce     so many calls about the same order or card wait already
 │   └─ PgRefused         the PG's own code and words, passed on unprocessed
 ├─ OutcomeUnknown      the PG was asked and nobody here knows what it did; the worker will find out
 ├─ AnswerMismatch      the PG spoke of something else: stop, keep the evidence, tell staff
 ├─ ForgedReturn        what the browser or the PG's notice brought is not what the PG signed
 │   └─ UnreadableNotice  the PG did sign it, and nobody here can read it
 └─ NotSent · NoAnswer  raised by wire, turned into outcomes by connectors
"""


class NaruError(Exception):
    """Everything this project raises on purpose."""


class Refused(NaruError):
    """We understood and will not do it. Nothing has changed.

    `code` is i'mport's number in the REST envelope (1: business refusal, -1: bad request or PG words).
    """

    code = 1
    sentence = "요청을 처리할 수 없습니다."

    def __init__(self, sentence: str | None = None) -> None:
        if sentence is not None:
            self.sentence = sentence
        super().__init__(self.sentence)


class NoSuchPayment(Refused):
    """No payment of this merchant has that id; a foreign one answers the same."""

    sentence = "취소할 결제건이 존재하지 않습니다."


class AlreadyPaid(Refused):
    """An order is paid once (F1002)."""

    sentence = "이미 결제가 이루어진 거래건입니다."


class AlreadyClaimed(Refused):
    """Somebody else is approving this payment, or has ended it: re-read, never overwrite."""

    sentence = "이미 처리 중이거나 종료된 결제입니다."


class ForbiddenStep(Refused):
    """This cannot happen to a payment in that step (domain/payment.py, NEXT)."""


class NotCancellable(NoSuchPayment):
    """Only money that was taken can be given back (unknowns.md A5)."""


class AlreadyCancelled(Refused):
    """Nothing is left to give back."""

    sentence = "이미 전액취소된 주문입니다."


class BalanceChanged(Refused):
    """The checksum is not today's cancellable balance: the merchant's record is behind ours."""

    sentence = "취소 가능금액이 요청하신 checksum 과 일치하지 않습니다."


class ExceedsBalance(Refused):
    """More was asked back than is left."""

    sentence = "취소 요청금액이 취소 가능금액을 초과하였습니다."


class PartialCancelUnsupported(Refused):
    """This PG gives back all or nothing for this method."""

    sentence = "부분취소를 지원하지 않는 결제수단입니다."


class CancelInProgress(Refused):
    """Another call to the PG about this payment has not ended yet (P14: one at a time)."""

    sentence = "이 결제건에 대한 다른 요청을 처리하고 있습니다. 잠시 후 다시 시도해주세요."


class BadAmount(Refused):
    """Not an amount: negative, zero, not a number, or beyond 10^12 minor units."""

    code = -1
    sentence = "결제금액이 올바르지 않습니다."


class AmountTooFine(BadAmount):
    """More decimals than the currency has."""

    sentence = "결제금액의 소수 자릿수가 통화 단위에 맞지 않습니다."


class UnknownCurrency(BadAmount):
    """A currency whose minor unit we do not know is not guessed."""

    sentence = "지원하지 않는 통화입니다."


class NoChannel(Refused):
    """The merchant has no channel that fits (NOT_READY)."""

    sentence = "등록 된 PG 설정 정보를 찾을 수 없습니다."


class TestChannelRefused(Refused):
    """A live merchant does not take a buyer's word for a test channel (RELIABILITY §2.4)."""

    __test__ = False  # the name begins with "Test", and pytest should not collect it
    sentence = "테스트 채널로는 결제할 수 없습니다."


class BadRequest(Refused):
    """A parameter is missing or malformed; the sentence names it."""

    code = -1


class BadCustomerUid(BadRequest):
    """Not the name of a customer: blank, too long, or with characters that nobody sees."""

    sentence = "customer_uid 는 눈에 보이는 1~80자의 문자열이어야 합니다. (앞뒤 공백, 보이지 않는 문자 제외)"


class ScheduleEnded(BadRequest):
    """The schedule is past the point where this could be done to it."""

    sentence = "이미 실행되었거나 취소된 예약입니다."


class NotRetryable(BadRequest):
    """Attempted again is only what has failed (or, at a later time, what was revoked)."""

    sentence = "결제에 실패한 예약만 다시 시도할 수 있습니다."


class AlreadyPrepared(Refused):
    """prepare POST was already made for this merchant_uid; use PUT."""

    sentence = "결제정보 사전등록에 실패하였습니다(이미 등록된 merchant_uid입니다)."


class NotPrepared(Refused):
    """prepare PUT or GET of a merchant_uid that was never prepared."""

    code = -1
    sentence = "사전등록된 결제정보가 존재하지 않습니다."


class PreparedDiffers(Refused):
    """The browser asked for another amount or currency than the merchant's server announced."""


class Superseded(Refused):
    """Another try of the same Idempotency-Key has the word: this one begins nothing."""

    sentence = "같은 Idempotency-Key 의 요청을 처리하고 있습니다. 잠시 후 다시 시도해주세요."


class NoBillingKey(Refused):
    """This merchant has no living key of that customer_uid."""

    sentence = "등록되지 않은 구매자입니다."


class KeyInProgress(Refused):
    """Another key is being issued for this customer_uid, and nobody knows yet how that ended."""

    sentence = "이 customer_uid 에 대한 빌링키 발급이 진행 중입니다. 잠시 후 다시 시도해주세요."


class BeingChecked(Refused):
    """This key's card is being charged already, to see whether it can be."""

    sentence = "이 빌링키의 카드 확인이 진행 중입니다. 잠시 후 다시 시도해주세요."


class AlreadyScheduled(Refused):
    """An order is scheduled once; what was revoked or has failed can be rescheduled."""

    sentence = "이미 예약된 merchant_uid 입니다."


class NothingScheduled(Refused):
    """No schedule of this name waits for its time."""

    sentence = "취소할 예약결제 기록이 존재하지 않습니다."


class BadCard(Refused):
    """Not a card: number, expiry, birth, password or CVC have a form that no card has."""

    code = -1
    sentence = "유효하지않은 카드번호를 입력하셨습니다."


class NotSupported(Refused):
    """The PG of this channel has no such power."""


class PgBusy(Refused):
    """This PG does not answer as fast as it is asked: not one more call is begun. Nothing moved."""

    sentence = "PG사가 응답하지 않아 지금은 결제를 진행할 수 없습니다. 결제되지 않았으니 잠시 후 다시 시도해주세요."


class TooManyAtOnce(Refused):
    """So many calls about the same order or card wait already that one more learns nothing. Nothing moved."""

    sentence = "같은 요청이 너무 많이 처리되고 있습니다. 잠시 후 결제 상태를 조회해주세요."


class PgRefused(Refused):
    """The PG said no; its code and words are passed on unprocessed (requirement, last hint)."""

    code = -1

    def __init__(self, pg_code: str, words: str, imp_uid: str | None = None) -> None:
        super().__init__(words)
        self.pg_code = pg_code
        self.imp_uid = imp_uid  # of the failed payment that the refusal leaves behind, if it does


class OutcomeUnknown(NaruError):
    """The PG was asked and its answer is not known; it is being found out. Not a refusal."""

    sentence = "PG사의 처리 결과를 확인하고 있습니다. 다시 요청하지 마시고 잠시 후 결제 상태를 조회해주세요."

    def __init__(self, sentence: str | None = None) -> None:
        if sentence is not None:
            self.sentence = sentence
        super().__init__(self.sentence)


class AnswerMismatch(NaruError):
    """The PG's answer is about another amount, currency or order than our question."""


class ForgedReturn(NaruError):
    """A browser return or a notice does not carry the PG's proof. It changes nothing."""


class UnreadableNotice(ForgedReturn):
    """The PG signed it, and nobody here can read it: a person must, for it may be about money."""


class NotSent(NaruError):
    """The request never left us: nothing can have happened on the other side."""


class NoAnswer(NaruError):
    """The request may have left us; nobody here knows what the other side did."""
