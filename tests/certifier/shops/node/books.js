// A shop's books in one SQLite file: orders, and the parcels that left for them; and the back office
// through which the certifier orders and looks. How an order becomes paid is each shop's own matter.

const crypto = require("node:crypto");
const express = require("express");
const { Database } = require("node-sqlite3-wasm");

const SCHEMA = `
CREATE TABLE IF NOT EXISTS orders (
    merchant_uid TEXT PRIMARY KEY,
    amount       INTEGER NOT NULL,
    currency     TEXT NOT NULL DEFAULT 'KRW',
    status       TEXT NOT NULL DEFAULT 'placed',
    imp_uid      TEXT,
    paid_amount  INTEGER NOT NULL DEFAULT 0,
    account      TEXT
);
CREATE TABLE IF NOT EXISTS parcels (
    id           INTEGER PRIMARY KEY,
    merchant_uid TEXT NOT NULL REFERENCES orders
);
`;

class Books {
  constructor(path) {
    this.database = new Database(path);
    this.database.exec("PRAGMA synchronous = OFF");
    this.database.exec(SCHEMA);
  }

  /** The order of this very number; null when there is none. */
  order(merchantUid) {
    const found = this.database.get(
      "SELECT *, (SELECT count(*) FROM parcels WHERE merchant_uid = orders.merchant_uid)" +
        " AS fulfilled FROM orders WHERE merchant_uid = ?",
      [merchantUid],
    );
    return found && found.merchant_uid === merchantUid ? found : null;
  }

  /** One statement; how many rows it changed. */
  write(statement, ...values) {
    return this.database.run(statement, values).changes;
  }

  /** Everything that `work` does, or nothing of it. It must not wait for anything. */
  transaction(work) {
    this.database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.database.exec("COMMIT");
      return result;
    } catch (error) {
      this.database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** Orders are placed, looked at, and given another price. */
function desk(books) {
  const pages = express.Router();
  pages.get("/", (req, res) => res.send("어서 오세요"));
  pages.post("/certify/orders", express.json(), (req, res) => {
    const merchantUid = `ORD-${crypto.randomBytes(8).toString("hex")}`;
    books.write(
      "INSERT INTO orders (merchant_uid, amount) VALUES (?, ?)",
      merchantUid,
      Number(req.body.amount),
    );
    res.json({ merchant_uid: merchantUid });
  });
  pages.get("/certify/orders/:merchant_uid", (req, res) => {
    const order = books.order(req.params.merchant_uid);
    order ? res.json(order) : res.sendStatus(404);
  });
  pages.post("/certify/orders/:merchant_uid/price", express.json(), (req, res) => {
    const changed = books.write(
      "UPDATE orders SET amount = ? WHERE merchant_uid = ? AND status = 'placed'",
      Number(req.body.amount),
      req.params.merchant_uid,
    );
    res.sendStatus(changed ? 200 : 409);
  });
  return pages;
}

module.exports = { Books, desk };
