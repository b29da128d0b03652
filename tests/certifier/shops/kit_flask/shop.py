"""A shop in Flask with the kit, its orders in SQLAlchemy."""

import os
import secrets

from flask import Flask, abort, request
from python.doors import serve
from sqlalchemy import BigInteger, ForeignKey, String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from naru.kit import Client, Finaliser, Payment
from naru.kit.orders import StoredOrder
from naru.kit.orders.sqlalchemy import PaymentColumns, SqlAlchemyOrders
from naru.kit.receive.flask import blueprint


class Base(DeclarativeBase):
    pass


class Order(PaymentColumns, Base):
    __tablename__ = "orders"

    merchant_uid: Mapped[str] = mapped_column(String(40), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)


class Parcel(Base):
    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    merchant_uid: Mapped[str] = mapped_column(ForeignKey(Order.merchant_uid))


def fulfil(order: StoredOrder, payment: Payment, session: Session) -> None:
    session.add(Parcel(merchant_uid=order.merchant_uid))


engine = create_engine(f"sqlite:///{os.environ['DATABASE']}")
Base.metadata.create_all(engine)
till = Finaliser(
    Client(os.environ["IMP_KEY"], os.environ["IMP_SECRET"], base_url=os.environ["IMP_URL"]),
    SqlAlchemyOrders(sessionmaker(engine), Order),
    fulfil=fulfil,
    allow_sandbox=os.environ.get("SHOP_TAKES_PLAY_MONEY") == "yes",
)
app = Flask(__name__)
app.register_blueprint(blueprint(till, secret=os.environ["WEBHOOK_SECRET"]))


# The back office: how the certifier orders, looks, and lets cron run.


@app.get("/")
def front() -> str:
    return "어서 오세요"


@app.post("/certify/orders")
def place() -> dict[str, str]:
    merchant_uid = f"ORD-{secrets.token_hex(8)}"
    with Session(engine) as session, session.begin():
        session.add(Order(merchant_uid=merchant_uid, amount=int(request.json["amount"])))
    return {"merchant_uid": merchant_uid}


@app.get("/certify/orders/<merchant_uid>")
def look(merchant_uid: str) -> dict[str, object]:
    with Session(engine) as session:
        order = session.get_one(Order, merchant_uid)
        sent = select(func.count()).where(Parcel.merchant_uid == merchant_uid)
        paid = order.payment_status == "paid"
        return {
            "status": order.payment_status,
            "fulfilled": session.scalar(sent),
            "paid_amount": order.amount - order.cancelled_amount if paid else 0,
        }


@app.post("/certify/orders/<merchant_uid>/price")
def change_price(merchant_uid: str) -> dict[str, str]:
    with Session(engine) as session, session.begin():
        order = session.get_one(Order, merchant_uid, with_for_update=True)
        if order.payment_status != "placed":
            abort(409)
        order.amount = int(request.json["amount"])
    return {}


@app.post("/certify/sweep")
def sweep() -> dict[str, int]:
    swept = till.sweep()
    return {"finished": len(swept.finished), "findings": len(swept.findings)}


if __name__ == "__main__":
    serve(app)
