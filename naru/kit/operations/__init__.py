"""Every operation of V1 as a description; `Operations` makes methods of them for both clients.

One module per family. A new function needs its line below, and tests/kit counts them against the gateway's own table.
"""

from __future__ import annotations

from naru.kit.operations import of_one_pg, papers, people, subscribe
from naru.kit.operations import payments as paying
from naru.kit.operations.call import Call, Operation


class Operations:
    """What both clients can do."""

    payment = Operation(paying.payment)
    payments = Operation(paying.payments)
    find_payment = Operation(paying.find_payment)
    find_payments = Operation(paying.find_payments)
    payments_by_status = Operation(paying.payments_by_status)
    balance = Operation(paying.balance)
    prepare = Operation(paying.prepare)
    change_prepared = Operation(paying.change_prepared)
    prepared = Operation(paying.prepared)
    cancel = Operation(paying.cancel)
    issue_virtual_account = Operation(paying.issue_virtual_account)
    change_virtual_account = Operation(paying.change_virtual_account)
    close_virtual_account = Operation(paying.close_virtual_account)
    pg_settings = Operation(paying.pg_settings)

    billing_key = Operation(subscribe.billing_key)
    billing_keys = Operation(subscribe.billing_keys)
    issue_billing_key = Operation(subscribe.issue_billing_key)
    delete_billing_key = Operation(subscribe.delete_billing_key)
    payments_of_billing_key = Operation(subscribe.payments_of_billing_key)
    schedules_of_billing_key = Operation(subscribe.schedules_of_billing_key)
    pay_by_card = Operation(subscribe.pay_by_card)
    pay_by_billing_key = Operation(subscribe.pay_by_billing_key)
    schedule_payments = Operation(subscribe.schedule_payments)
    unschedule_payments = Operation(subscribe.unschedule_payments)
    schedules = Operation(subscribe.schedules)
    schedule = Operation(subscribe.schedule)
    move_schedule = Operation(subscribe.move_schedule)
    reschedule = Operation(subscribe.reschedule)
    retry_schedule = Operation(subscribe.retry_schedule)
    schedules_of_customer = Operation(subscribe.schedules_of_customer)

    certification = Operation(people.certification)
    delete_certification = Operation(people.delete_certification)
    request_certification_code = Operation(people.request_certification_code)
    confirm_certification_code = Operation(people.confirm_certification_code)
    cards = Operation(people.cards)
    card = Operation(people.card)
    banks = Operation(people.banks)
    bank = Operation(people.bank)
    tier = Operation(people.tier)

    cash_receipt = Operation(papers.cash_receipt)
    issue_cash_receipt = Operation(papers.issue_cash_receipt)
    cancel_cash_receipt = Operation(papers.cancel_cash_receipt)
    external_receipt = Operation(papers.external_receipt)
    issue_external_receipt = Operation(papers.issue_external_receipt)
    cancel_external_receipt = Operation(papers.cancel_external_receipt)
    issue_partner_receipt = Operation(papers.issue_partner_receipt)
    shipment = Operation(papers.shipment)
    register_shipment = Operation(papers.register_shipment)
    change_shipment = Operation(papers.change_shipment)

    cancel_naver_order = Operation(of_one_pg.cancel_naver_order)
    approve_naver_cancel = Operation(of_one_pg.approve_naver_cancel)
    place_naver_order = Operation(of_one_pg.place_naver_order)
    ship_naver_order = Operation(of_one_pg.ship_naver_order)
    ship_naver_exchange = Operation(of_one_pg.ship_naver_exchange)
    collect_naver_exchange = Operation(of_one_pg.collect_naver_exchange)
    request_naver_return = Operation(of_one_pg.request_naver_return)
    approve_naver_return = Operation(of_one_pg.approve_naver_return)
    reject_naver_return = Operation(of_one_pg.reject_naver_return)
    withhold_naver_return = Operation(of_one_pg.withhold_naver_return)
    resolve_naver_return = Operation(of_one_pg.resolve_naver_return)
    give_naver_points = Operation(of_one_pg.give_naver_points)
    confirm_naver_order = Operation(of_one_pg.confirm_naver_order)
    naver_product_orders = Operation(of_one_pg.naver_product_orders)
    naver_product_order = Operation(of_one_pg.naver_product_order)
    naver_reviews = Operation(of_one_pg.naver_reviews)
    naver_cash_amount = Operation(of_one_pg.naver_cash_amount)
    set_payco_status = Operation(of_one_pg.set_payco_status)
    report_delivery = Operation(of_one_pg.report_delivery)
    delete_quick_member = Operation(of_one_pg.delete_quick_member)
    release_quick_fido = Operation(of_one_pg.release_quick_fido)
    prepare_quick_payment = Operation(of_one_pg.prepare_quick_payment)
    change_quick_payment = Operation(of_one_pg.change_quick_payment)
    pay_by_quick_money = Operation(of_one_pg.pay_by_quick_money)
    pay_by_quick_key = Operation(of_one_pg.pay_by_quick_key)
    delete_quick_key = Operation(of_one_pg.delete_quick_key)
    benepia_points = Operation(of_one_pg.benepia_points)
    pay_by_benepia_points = Operation(of_one_pg.pay_by_benepia_points)
    issue_barcode = Operation(of_one_pg.issue_barcode)
    revoke_barcode = Operation(of_one_pg.revoke_barcode)


__all__ = ["Call", "Operation", "Operations"]
