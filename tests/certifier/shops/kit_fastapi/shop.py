"""A shop in FastAPI with the kit, its orders in SQLAlchemy, everything in one event loop."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import BigInteger, ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from naru.kit import AsyncClient, AsyncFinaliser, Payment
from naru.kit.orders import StoredOrder
from naru.kit.orders.sqlalchemy import AsyncSqlAlchemyOrders, PaymentColumns
from naru.kit.receive.fastapi import router


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


async def fulfil(order: StoredOrder, payment: Payment, session: AsyncSession) -> None:
    session.add(Parcel(merchant_uid=order.merchant_uid))


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['DATABASE']}")
sessions = async_sessionmaker(engine)
gateway = AsyncClient(
    os.environ["IMP_KEY"], os.environ["IMP_SECRET"], base_url=os.environ["IMP_URL"]
)
till = AsyncFinaliser(
    gateway,
    AsyncSqlAlchemyOrders(sessions, Order),
    fulfil=fulfil,
    allow_sandbox=os.environ.get("SHOP_TAKES_PLAY_MONEY") == "yes",
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with gateway:
        yield


app = FastAPI(lifespan=lifespan)
app.include_router(router(till, secret=os.environ["WEBHOOK_SECRET"]))


# The back office: how the certifier orders, looks, and lets cron run.


class Price(BaseModel):
    amount: int


@app.get("/")
def front() -> str:
    return "어서 오세요"


@app.post("/certify/orders")
async def place(price: Price) -> dict[str, str]:
    merchant_uid = f"ORD-{secrets.token_hex(8)}"
    async with sessions.begin() as session:
        session.add(Order(merchant_uid=merchant_uid, amount=price.amount))
    return {"merchant_uid": merchant_uid}


@app.get("/certify/orders/{merchant_uid}")
async def look(merchant_uid: str) -> dict[str, object]:
    async with sessions() as session:
        order = await session.get_one(Order, merchant_uid)
        sent = select(func.count()).where(Parcel.merchant_uid == merchant_uid)
        paid = order.payment_status == "paid"
        return {
            "status": order.payment_status,
            "fulfilled": await session.scalar(sent),
            "paid_amount": order.amount - order.cancelled_amount if paid else 0,
        }


@app.post("/certify/orders/{merchant_uid}/price")
async def change_price(merchant_uid: str, price: Price) -> dict[str, str]:
    async with sessions.begin() as session:
        order = await session.get_one(Order, merchant_uid, with_for_update=True)
        if order.payment_status != "placed":
            raise HTTPException(409)
        order.amount = price.amount
    return {}


@app.post("/certify/sweep")
async def sweep() -> dict[str, int]:
    swept = await till.sweep()
    return {"finished": len(swept.finished), "findings": len(swept.findings)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
