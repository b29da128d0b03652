"""Certifications over the merchant's API: real gateway, real identity company, real PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from naru.domain.certification import AlreadyCertified, Certified, Stage
from naru.payments.certify import channel_of, end_certifications, settle
from tests.rest.conftest import NUMBERS, Answered, Desk, House, Shop

MISSING = (404, -1, "인증결과가 존재하지 않습니다.")
NARU = {
    "name": "김나루",
    "phone": "010-1000-0001",
    "birth": "900720",
    "gender_digit": "2",
    "carrier": "SKT",
}
SILENT = {**NARU, "name": "고침묵", "phone": "01010000014", "birth": "800404"}


@dataclass
class Company:
    """A desk whose merchants may have people certified; `codes` reads the person's phone."""

    desk: Desk
    house: House

    async def messages(self) -> list[dict[str, Any]]:
        async with self.desk.http.get(f"{self.house.pg_url}/inbox/messages") as answer:
            said = await answer.json()
        found: list[dict[str, Any]] = said["messages"]
        return found

    async def code(self) -> str:
        found = re.search(r"\[(\d{6})\]", (await self.messages())[0]["text"])
        assert found is not None
        return found[1]

    async def request(self, person: dict[str, Any], **how: Any) -> Answered:
        return await self.desk.ask("POST", "/certifications/otp/request", json=person, **how)

    async def confirm(self, imp_uid: str, otp: str | None, **how: Any) -> Answered:
        body = {} if otp is None else {"otp": otp}
        return await self.desk.ask(
            "POST", f"/certifications/otp/confirm/{imp_uid}", json=body, **how
        )

    async def certified(self, person: dict[str, Any]) -> Any:
        asked = await self.request(person)
        done = await self.confirm(asked.response["imp_uid"], await self.code())
        assert done.status == 200, done.body
        return done.response

    async def stage(self, imp_uid: str) -> Stage:
        async with self.desk.gateway.store.direct() as session:
            found = await session.certifications.get(imp_uid)
        assert found is not None
        return found.stage


async def add_channel(desk: Desk, shop: Shop, url: str, pg_code: str, **settings: Any) -> str:
    """A channel for certifications, the default one when it is the first."""
    key = f"channel-key-cert-{next(NUMBERS)}"
    secret = f"{key}-" + "s" * 40
    async with desk.gateway.store.begin() as tx:
        has = [c for c in await tx.channels.of_merchant(shop.merchant.id) if c.kind != "payment"]
        await tx.channels.add(
            shop.merchant.id,
            key,
            pg_code,
            f"M{key}",
            "sandbox",
            test=True,
            settings={"url": url, "secret": secret, **settings},
            kind="certification",
            is_default=not has,
        )
    body = {"secret": secret, "name": "본인인증", "profile": pg_code}
    if "//127.0.0.1:9" not in url:
        async with desk.http.put(f"{url}/v1/members/M{key}", json=body) as answer:
            assert answer.status == 200
    return key


@pytest_asyncio.fixture(loop_scope="session")
async def company(house: House, desk_with_pg: Desk) -> Company:
    desk = desk_with_pg
    async with desk.gateway.store.direct() as session:
        # Every test rings the same few phones.
        await session.limits.forget(desk.clock() + timedelta(days=1), 10_000)
    for shop in (desk.shop, desk.stranger):
        await add_channel(desk, shop, house.pg_url, "danal", foreigner_contract=True)
    return Company(desk, house)


@pytest.mark.operation(
    "POST /certifications/otp/request",
    "POST /certifications/otp/confirm/{imp_uid}",
    "GET /certifications/{imp_uid}",
)
async def test_a_person_is_certified_by_a_code(company: Company) -> None:
    asked = await company.request(NARU | {"merchant_uid": "who-1"})
    imp_uid = asked.response["imp_uid"]

    assert asked.status == 200
    assert asked.response == {"imp_uid": imp_uid}
    assert re.fullmatch(r"imp_\d{12}", imp_uid)
    early = await company.desk.ask("GET", f"/certifications/{imp_uid}")
    assert early.verdict == MISSING

    done = await company.confirm(imp_uid, await company.code())
    read = await company.desk.ask("GET", f"/certifications/{imp_uid}")

    assert done.status == 200
    assert read.response == done.response
    person = done.response
    assert len(base64.b64decode(person.pop("unique_key"))) == 64
    assert re.fullmatch(r"[0-9a-f]{64}", person.pop("unique_in_site"))
    assert person.pop("pg_tid").startswith("sbi")
    assert person == {
        "birth": 648399600,  # as in i'mport's own sample of this birthday
        "birthday": "1990-07-20",
        "certified": True,
        "certified_at": int(company.desk.clock().timestamp()),
        "foreigner": False,
        "foreigner_v2": False,
        "gender": "female",
        "imp_uid": imp_uid,
        "merchant_uid": "who-1",
        "name": "김나루",
        "origin": None,
        "pg_provider": "danal",
    }


async def test_the_keys_of_a_person_are_the_same_every_time_and_of_no_other(
    company: Company,
) -> None:
    first, again = await company.certified(NARU), await company.certified(NARU)
    other = await company.certified(NARU | {"name": "다른 사람", "phone": "010-2222-3333"})
    moved = await company.certified(NARU | {"phone": "010-2222-4444"})
    desk = company.desk
    asked = await company.request(NARU, token=desk.stranger.token)
    elsewhere = (
        await company.confirm(
            asked.response["imp_uid"], await company.code(), token=desk.stranger.token
        )
    ).response

    assert first["unique_key"] == again["unique_key"] == moved["unique_key"]
    assert first["unique_in_site"] == again["unique_in_site"]
    assert other["unique_key"] != first["unique_key"]
    assert elsewhere["unique_key"] == first["unique_key"]
    assert elsewhere["unique_in_site"] != first["unique_in_site"]


@pytest.mark.operation("DELETE /certifications/{imp_uid}")
async def test_a_deleted_certification_is_gone_from_the_database(
    company: Company, rest_database: str
) -> None:
    person = await company.certified(NARU)
    path = f"/certifications/{person['imp_uid']}"

    gone = await company.desk.ask("DELETE", path)

    assert (gone.status, gone.response) == (200, person)
    assert (await company.desk.ask("GET", path)).verdict == MISSING
    assert (await company.desk.ask("DELETE", path)).verdict == MISSING
    late = await company.confirm(person["imp_uid"], "123456")
    assert late.verdict == MISSING
    connection = await asyncpg.connect(rest_database)
    try:
        row = await connection.fetchrow(
            "SELECT * FROM certifications WHERE imp_uid = $1", person["imp_uid"]
        )
        logged = await connection.fetch(
            "SELECT * FROM audit_log WHERE subject = $1", f"certifications {person['imp_uid']}"
        )
    finally:
        await connection.close()
    assert row is not None
    assert (row["stage"], row["sealed"], row["merchant_uid"]) == ("deleted", None, None)
    # Who let go of whom is kept, without the person.
    assert any("DELETE /certifications" in entry["what"] for entry in logged)
    assert "김나루" not in str(row) + str(logged)


async def test_nothing_of_a_person_lies_open_in_the_database(
    company: Company, rest_database: str
) -> None:
    person = await company.certified(NARU | {"name": "봉인된이름", "phone": "01077776666"})
    connection = await asyncpg.connect(rest_database)
    try:
        rows = await connection.fetch("SELECT * FROM certifications")
        limits = await connection.fetch("SELECT * FROM limits")
    finally:
        await connection.close()

    text = str([dict(row) for row in (*rows, *limits)])

    assert person["imp_uid"] in text  # the control: the search looks at the row
    for secret in ("봉인된이름", "01077776666", "900720", person["unique_key"]):
        assert secret not in text
        assert repr(secret.encode())[2:-1] not in text


async def test_phone_and_carrier_are_told_only_by_contract(company: Company) -> None:
    key = await add_channel(
        company.desk, company.desk.shop, company.house.pg_url, "kcp_v2", phone_approved=True
    )
    mvno = {**NARU, "name": "이여울", "phone": "01010000002", "birth": "761107", "carrier": "KT"}

    told = await company.certified(
        mvno | {"gender_digit": "1", "is_mvno": True, "channel_key": key}
    )
    plain = await company.certified(NARU)

    assert (told["phone"], told["carrier"]) == ("01010000002", "KT_MVNO")
    assert (told["birth"], told["gender"]) == (216140400, "male")  # i'mport's own sample
    assert told["pg_provider"] == "kcp_v2"
    assert (told["foreigner"], told["foreigner_v2"]) == (False, None)
    assert not {"phone", "carrier"} & plain.keys()


async def test_a_foreigner_and_somebody_born_before_1970(company: Company) -> None:
    smith = {**NARU, "name": "존 스미스", "phone": "01010000005", "birth": "850302"}
    foreigner = await company.certified(smith | {"gender_digit": "5"})
    old = {**NARU, "name": "최옛날", "phone": "01010000003", "birth": "580428", "carrier": "LGT"}
    born = await company.certified(old | {"is_mvno": "true"})

    assert (foreigner["foreigner"], foreigner["foreigner_v2"]) == (True, True)
    assert foreigner["gender"] == "male"
    assert (born["birthday"], born["birth"] < 0) == ("1958-04-28", True)


async def test_a_form_as_php_clients_send_it(company: Company) -> None:
    asked = await company.desk.ask(
        "POST",
        "/certifications/otp/request/",
        data={**NARU, "phone": "010 1000 0001", "birth": "1990-07-20", "is_mvno": "0",
              "bypass[kcpV2][cp_sms_msg]": "나루 인증번호 [000000] 입니다"},
    )  # fmt: skip
    text = (await company.messages())[0]["text"]

    assert re.fullmatch(r"나루 인증번호 \[\d{6}\] 입니다", text)
    done = await company.desk.ask(
        "POST",
        f"/certifications/otp/confirm/{asked.response['imp_uid']}/",
        data={"otp": await company.code()},
    )
    assert done.response["name"] == "김나루"


async def test_a_question_in_the_app(company: Company) -> None:
    asked = await company.request(NARU | {"verification_method": "APP"})
    imp_uid = asked.response["imp_uid"]
    early = await company.confirm(imp_uid, None)
    link = re.search(r"https?://\S+", (await company.messages())[0]["text"])
    assert link is not None
    async with company.desk.http.post(
        link[0], json={"agree": True}, headers={"Origin": company.house.pg_url}
    ) as answer:
        assert (await answer.json())["ok"]

    done = await company.confirm(imp_uid, None)

    assert early.verdict == (400, -1, "아직 앱에서 확인되지 않았습니다.")
    assert done.response["name"] == "김나루"


async def test_a_code_is_confirmed_once(company: Company) -> None:
    person = await company.certified(NARU)

    again = await company.confirm(person["imp_uid"], "123456")

    assert again.verdict == (400, -1, "이미 본인인증이 완료된 건입니다.")


async def test_a_right_code_that_is_brought_twenty_times_at_once_is_accepted_once(
    company: Company,
) -> None:
    imp_uid = (await company.request(NARU)).response["imp_uid"]
    code = await company.code()

    answers = await asyncio.gather(*(company.confirm(imp_uid, code) for _ in range(20)))

    assert [answer.status for answer in answers].count(200) == 1
    assert {answer.status for answer in answers} == {200, 400}
    assert await company.stage(imp_uid) is Stage.CERTIFIED


async def test_who_comes_with_a_row_from_before_does_not_hear_that_it_was_them(
    company: Company,
) -> None:
    """What twenty at once do by chance, done in order: read, let another confirm it, then write."""
    gateway = company.desk.gateway
    imp_uid = (await company.request(NARU)).response["imp_uid"]
    async with gateway.store.direct() as session:
        stale = await session.certifications.get(imp_uid)
    assert stale is not None
    assert stale.stage is Stage.WAITING
    assert (await company.confirm(imp_uid, await company.code())).status == 200
    channel = await channel_of(gateway, stale)
    certified = await gateway.connector_of(channel).inquire_certification(channel, stale.number)
    assert isinstance(certified, Certified)

    with pytest.raises(AlreadyCertified):
        await settle(gateway, stale, channel, certified, once=True)

    # The control: without `once` they hear who it is, as a page that waits does.
    told = await settle(gateway, stale, channel, certified)
    assert (told.stage, told.imp_uid) == (Stage.CERTIFIED, imp_uid)


async def test_five_wrong_codes_end_it_however_many_come_at_once(company: Company) -> None:
    imp_uid = (await company.request(NARU)).response["imp_uid"]
    code = await company.code()
    wrong = f"{(int(code) + 1) % 10**6:06d}"

    first = await company.confirm(imp_uid, wrong)
    rest = await asyncio.gather(*(company.confirm(imp_uid, wrong) for _ in range(12)))
    right = await company.confirm(imp_uid, code)

    assert first.verdict == (400, -1, "인증번호가 일치하지 않습니다. (남은 횟수 4회)")
    assert {answer.status for answer in rest} == {400}
    left = [re.search(r"남은 횟수 (\d)", str(answer.body["message"])) for answer in rest]
    assert sorted(found[1] for found in left if found) == ["1", "2", "3"]
    assert right.status == 400
    assert await company.stage(imp_uid) is Stage.FAILED


async def test_a_code_lives_three_minutes(company: Company) -> None:
    imp_uid = (await company.request(NARU)).response["imp_uid"]
    code = await company.code()
    company.desk.clock.advance(181)

    late = await company.confirm(imp_uid, code)

    assert late.status == 400
    assert "만료" in str(late.body["message"])
    assert (await company.desk.ask("GET", f"/certifications/{imp_uid}")).verdict == MISSING


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "name 파라메터가 누락되었습니다."),
        ({"phone": ""}, "phone 파라메터가 누락되었습니다."),
        ({"phone": "02-123-4567"}, "phone 파라메터의 형식이 올바르지 않습니다."),
        ({"birth": "9007"}, "birth 파라메터의 형식이 올바르지 않습니다."),
        ({"gender_digit": "9"}, "gender_digit 파라메터의 형식이 올바르지 않습니다."),
        ({"carrier": "AT&T"}, "carrier 파라메터의 형식이 올바르지 않습니다."),
        ({"verification_method": "FAX"}, "verification_method 파라메터의 형식이 올바르지 않습니다."),
        ({"bypass": {"kcpV2": {"cp_sms_msg": "no place"}}}, "bypass.kcpV2.cp_sms_msg 파라메터의 형식이 올바르지 않습니다."),
    ],
)  # fmt: skip
async def test_what_is_missing_or_cannot_be(
    company: Company, changes: dict[str, Any], words: str
) -> None:
    assert (await company.request(NARU | changes)).verdict == (400, -1, words)


async def test_the_company_refuses_in_its_own_words(company: Company) -> None:
    suspended = {**NARU, "name": "정정지", "phone": "01010000011", "birth": "800101"}
    blocked = {**NARU, "name": "한분실", "phone": "01010000012", "birth": "800202"}

    sent = await company.request(suspended | {"gender_digit": "1"})
    stranger = await company.request(NARU | {"name": "남의이름"})
    no_day = await company.request(NARU | {"birth": "900231", "phone": "01099998888"})
    asked = await company.request(blocked | {"carrier": "KT"})
    refused = await company.confirm(asked.response["imp_uid"], await company.code())

    assert sent.verdict == (200, -1, "이용이 정지된 휴대폰 번호입니다.")
    assert stranger.verdict == (200, -1, "통신사에 등록된 명의자 정보와 일치하지 않습니다.")
    assert no_day.verdict == (200, -1, "생년월일이 올바르지 않습니다.")
    assert refused.verdict == (400, -1, "명의도용 방지 서비스에 가입되어 인증할 수 없습니다.")


async def test_another_merchants_token_gets_what_an_unknown_name_gets(company: Company) -> None:
    stranger = company.desk.stranger.token
    waiting = (await company.request(NARU)).response["imp_uid"]
    code = await company.code()
    certified = (await company.certified(NARU))["imp_uid"]

    for imp_uid in (waiting, certified, "imp_000000000000", "x", "가" * 300):
        for method in ("GET", "DELETE"):
            answer = await company.desk.ask(method, f"/certifications/{imp_uid}", token=stranger)
            assert answer.verdict == MISSING, (method, imp_uid)
        assert (await company.confirm(imp_uid, code, token=stranger)).verdict == MISSING
    # The stranger has spent none of its tries.
    assert (await company.confirm(waiting, code)).status == 200


async def test_a_merchant_without_a_channel_for_it(desk_with_pg: Desk) -> None:
    answer = await desk_with_pg.ask("POST", "/certifications/otp/request", json=NARU)

    assert answer.verdict == (200, 1, "등록 된 PG 설정 정보를 찾을 수 없습니다.")


async def test_a_company_that_cannot_send_codes(company: Company) -> None:
    key = await add_channel(company.desk, company.desk.shop, company.house.pg_url, "inicis_unified")

    answer = await company.request(NARU | {"channel_key": key})

    assert answer.verdict == (400, -1, "API 본인인증(SMS, APP)을 지원하지 않는 인증사입니다.")


async def test_an_answer_that_is_cut_off_is_found_by_asking(company: Company) -> None:
    imp_uid = (await company.request(SILENT)).response["imp_uid"]

    doubt = await company.confirm(imp_uid, await company.code())

    assert (doubt.status, doubt.body["code"]) == (200, 1)
    assert "확인하고 있습니다" in str(doubt.body["message"])
    assert await company.stage(imp_uid) is Stage.WAITING
    read = await company.desk.ask("GET", f"/certifications/{imp_uid}")
    assert read.response["name"] == "고침묵"


async def test_the_worker_asks_where_nobody_else_does_and_ends_what_was_left(
    company: Company,
) -> None:
    doubtful = (await company.request(SILENT)).response["imp_uid"]
    await company.confirm(doubtful, await company.code())
    left = (await company.request(NARU)).response["imp_uid"]

    await end_certifications(company.desk.gateway)
    assert await company.stage(doubtful) is Stage.WAITING  # too early
    company.desk.clock.advance(30)
    await end_certifications(company.desk.gateway)
    stages = [await company.stage(doubtful), await company.stage(left)]
    company.desk.clock.advance(1_900)
    await end_certifications(company.desk.gateway)

    assert stages == [Stage.CERTIFIED, Stage.WAITING]
    assert await company.stage(left) is Stage.FAILED


async def test_a_company_that_cannot_be_reached(desk: Desk) -> None:
    await add_channel(desk, desk.shop, "http://127.0.0.1:9", "danal")

    answer = await desk.ask("POST", "/certifications/otp/request", json=NARU)

    assert answer.status == 200
    assert answer.body["code"] == -1  # nothing was sent, and no doubt is left
    assert "통신할 수 없습니다" in str(answer.body["message"])


async def test_a_repeated_request_with_one_key_rings_once(company: Company) -> None:
    headers = {"Idempotency-Key": f"code-{next(NUMBERS)}"}
    before = len(await company.messages())

    first = await company.request(NARU, headers=headers)
    again = await company.request(NARU, headers=headers)

    assert again.response == first.response
    assert len(await company.messages()) == min(50, before + 1)


async def test_a_phone_is_not_rung_without_end(company: Company) -> None:
    person = NARU | {"phone": f"0101234{next(NUMBERS) % 10**4:04d}"}

    answers = [await company.request(person) for _ in range(6)]

    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    # Nor by all merchants together.
    theirs = await company.desk.ask(
        "POST", "/certifications/otp/request", token=company.desk.stranger.token, json=person
    )
    assert theirs.status == 429


async def test_keys_stand_in_the_order_that_php_would_give_them(company: Company) -> None:
    imp_uid = (await company.certified(NARU))["imp_uid"]

    read = await company.desk.ask("GET", f"/certifications/{imp_uid}")

    names = list(json.loads(read.raw)["response"])
    assert names == sorted(names)
