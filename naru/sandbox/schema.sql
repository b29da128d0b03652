-- The sandbox PG's ledger. Amounts in the smallest unit, times in UNIX seconds.

CREATE TABLE IF NOT EXISTS vault (
    -- Keys that were made at the first start: the pepper, the certificate authorities.
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS members (
    mid TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    name TEXT NOT NULL,
    profile TEXT NOT NULL,
    joined_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY,
    mid TEXT NOT NULL REFERENCES members,
    order_no TEXT NOT NULL,
    window_id TEXT NOT NULL UNIQUE,
    announced TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN (
        'registered', 'authenticated', 'approved', 'waiting_deposit', 'deposited', 'cancelled',
        'declined', 'failed', 'abandoned', 'closed', 'undone')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    scenario TEXT,
    wrong_tries INTEGER NOT NULL DEFAULT 0,
    means TEXT,
    authenticated_at INTEGER,
    auth_expires_at INTEGER,
    code TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    UNIQUE (mid, order_no)
) STRICT;

CREATE TABLE IF NOT EXISTS tombstones (
    -- A net-cancelled number: no approval of it can succeed any more, even one still on its way.
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    had_approved INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mid, order_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS approvals (
    -- The one answer to the one approval of an order; a repeated question reads it back.
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    content TEXT NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('approved', 'account_issued', 'declined')),
    answer TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mid, order_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS charges (
    -- Money of a buyer: what was taken and what was given back.
    tid TEXT PRIMARY KEY,
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    currency TEXT NOT NULL,
    taken INTEGER NOT NULL CHECK (taken >= 0),
    returned INTEGER NOT NULL DEFAULT 0 CHECK (returned >= 0 AND returned <= taken),
    UNIQUE (mid, order_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS cancels (
    mid TEXT NOT NULL,
    cancel_no TEXT NOT NULL,
    content TEXT NOT NULL,
    tid TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    result TEXT NOT NULL CHECK (result IN ('cancelled', 'refused')),
    answer TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mid, cancel_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cancels_of_a_charge ON cancels (mid, tid);

CREATE TABLE IF NOT EXISTS accounts (
    number TEXT PRIMARY KEY,
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    tid TEXT NOT NULL,
    bank_code TEXT NOT NULL,
    holder TEXT NOT NULL,
    amount INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    due INTEGER NOT NULL,
    UNIQUE (mid, order_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS accounts_by_age ON accounts (issued_at);

CREATE TABLE IF NOT EXISTS deposits (
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL REFERENCES accounts,
    amount INTEGER NOT NULL CHECK (amount > 0),
    depositor TEXT NOT NULL,
    deposited_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deposits_of_an_account ON deposits (number);

CREATE TABLE IF NOT EXISTS book (
    -- Every movement of money, row by row, for an audit against the members' own books.
    seq INTEGER PRIMARY KEY,
    mid TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'deposit', 'cancel', 'net_cancel')),
    order_no TEXT NOT NULL,
    tid TEXT NOT NULL,
    reference TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS book_of_a_member ON book (mid, seq);

CREATE TABLE IF NOT EXISTS notices (
    notice_id TEXT PRIMARY KEY,
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    amount INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS notices_due ON notices (next_at) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS notices_of_an_order ON notices (mid, order_no);

CREATE TABLE IF NOT EXISTS notice_attempts (
    id INTEGER PRIMARY KEY,
    notice_id TEXT NOT NULL REFERENCES notices,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('ok', 'refused', 'no_answer')),
    http_status INTEGER,
    detail TEXT NOT NULL,
    duration_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS attempts_of_a_notice ON notice_attempts (notice_id);

CREATE TABLE IF NOT EXISTS cards (
    -- Numbers, CVCs and passwords are kept as peppered HMACs, PINs as argon2id.
    id TEXT PRIMARY KEY,
    number_mac BLOB NOT NULL UNIQUE,
    secret_mac BLOB NOT NULL,
    pin_hash TEXT,
    password_tries INTEGER NOT NULL DEFAULT 0 CHECK (password_tries BETWEEN 0 AND 3),
    pin_tries INTEGER NOT NULL DEFAULT 0 CHECK (pin_tries BETWEEN 0 AND 5)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS certificates (
    serial TEXT PRIMARY KEY,
    card_id TEXT NOT NULL REFERENCES cards,
    pem TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS challenges (
    id TEXT PRIMARY KEY,
    window_id TEXT NOT NULL,
    serial TEXT NOT NULL REFERENCES certificates,
    content BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS keypads (
    session TEXT PRIMARY KEY,
    window_id TEXT NOT NULL,
    card_id TEXT NOT NULL REFERENCES cards,
    layout TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sms_codes (
    window_id TEXT PRIMARY KEY,
    carrier TEXT NOT NULL,
    code_mac BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    sends INTEGER NOT NULL DEFAULT 1 CHECK (sends BETWEEN 1 AND 5)
) STRICT, WITHOUT ROWID;

-- How often a phone was rung, over all windows; its number is hidden.
CREATE TABLE IF NOT EXISTS rings (
    phone BLOB PRIMARY KEY,
    rung INTEGER NOT NULL DEFAULT 1,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;

-- What happened, happened: these tables only grow.
CREATE TRIGGER IF NOT EXISTS book_stays BEFORE UPDATE ON book
    BEGIN SELECT RAISE(ABORT, 'the book only grows'); END;
CREATE TRIGGER IF NOT EXISTS book_keeps BEFORE DELETE ON book
    BEGIN SELECT RAISE(ABORT, 'the book only grows'); END;
CREATE TRIGGER IF NOT EXISTS deposits_stay BEFORE UPDATE ON deposits
    BEGIN SELECT RAISE(ABORT, 'deposits only grow'); END;
CREATE TRIGGER IF NOT EXISTS deposits_keep BEFORE DELETE ON deposits
    BEGIN SELECT RAISE(ABORT, 'deposits only grow'); END;
CREATE TRIGGER IF NOT EXISTS approvals_stay BEFORE UPDATE ON approvals
    BEGIN SELECT RAISE(ABORT, 'approvals only grow'); END;
CREATE TRIGGER IF NOT EXISTS approvals_keep BEFORE DELETE ON approvals
    BEGIN SELECT RAISE(ABORT, 'approvals only grow'); END;
CREATE TRIGGER IF NOT EXISTS cancels_stay BEFORE UPDATE ON cancels
    BEGIN SELECT RAISE(ABORT, 'cancels only grow'); END;
CREATE TRIGGER IF NOT EXISTS cancels_keep BEFORE DELETE ON cancels
    BEGIN SELECT RAISE(ABORT, 'cancels only grow'); END;

-- Convenience stores: accounts whose number is a barcode, paid at a till.
CREATE TABLE IF NOT EXISTS barcodes (
    number TEXT PRIMARY KEY REFERENCES accounts,
    ask_before INTEGER NOT NULL,
    pay_type TEXT CHECK (pay_type IN ('cash', 'card')),
    paid_at INTEGER,
    CHECK ((pay_type IS NULL) = (paid_at IS NULL))
) STRICT, WITHOUT ROWID;

-- Billing keys: what a member may charge by which number. The key itself is derived.

CREATE TABLE IF NOT EXISTS billing_keys (
    mid TEXT NOT NULL,
    key_no TEXT NOT NULL,
    content TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('issued', 'declined', 'forgotten')),
    means TEXT,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mid, key_no),
    CHECK ((state = 'issued') = (means IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Cash receipts, sub-shops on slips, shipments of escrow. A question has its member's own number and
-- one answer; `tries` says how often it was asked.

CREATE TABLE IF NOT EXISTS questions (
    mid TEXT NOT NULL,
    number TEXT NOT NULL,
    content TEXT NOT NULL,
    answer TEXT,
    tries INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mid, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS cash_receipts (
    receipt_tid TEXT PRIMARY KEY,
    mid TEXT NOT NULL,
    -- The charge; null when the money was paid outside.
    tid TEXT,
    merchant_name TEXT NOT NULL,
    merchant_order_no TEXT NOT NULL,
    item_name TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    tax_free INTEGER NOT NULL,
    vat INTEGER NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('person', 'company')),
    masked TEXT NOT NULL,
    apply_no TEXT NOT NULL,
    -- The magic identifier that decides how its cancel goes.
    on_cancel TEXT,
    issued_at INTEGER NOT NULL,
    cancelled_at INTEGER,
    CHECK (tax_free + vat <= amount)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS one_receipt_of_a_charge ON cash_receipts (tid)
    WHERE tid IS NOT NULL AND cancelled_at IS NULL;

CREATE TABLE IF NOT EXISTS sub_shops (
    tid TEXT NOT NULL,
    place INTEGER NOT NULL,
    business_number TEXT NOT NULL,
    name TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    tax_free INTEGER NOT NULL,
    vat INTEGER NOT NULL,
    PRIMARY KEY (tid, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS shipments (
    tid TEXT PRIMARY KEY,
    mid TEXT NOT NULL,
    company TEXT NOT NULL,
    invoice TEXT NOT NULL,
    receiver TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    -- What the buyer said when it had come.
    decision TEXT CHECK (decision IN ('confirmed', 'rejected')),
    reason TEXT,
    decided_at INTEGER
) STRICT, WITHOUT ROWID;

-- The identity company: who was asked about, what they said, and who they are.
CREATE TABLE IF NOT EXISTS identity_requests (
    id INTEGER PRIMARY KEY,
    mid TEXT NOT NULL REFERENCES members,
    number TEXT NOT NULL,
    window_id TEXT NOT NULL UNIQUE,
    app_key TEXT NOT NULL UNIQUE,
    asked TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'certified', 'failed', 'cancelled')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    said TEXT,
    code_mac BLOB,
    code_until INTEGER,
    tries INTEGER NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    sends INTEGER NOT NULL DEFAULT 0 CHECK (sends BETWEEN 0 AND 5),
    agreed INTEGER CHECK (agreed IN (0, 1)),
    tid TEXT,
    certified_at INTEGER,
    person TEXT,
    phone TEXT,
    code TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    UNIQUE (mid, number),
    CHECK ((state = 'certified') = (person IS NOT NULL))
) STRICT;

-- The mall: one product each, beside the one payment that paid for all of them.
CREATE TABLE IF NOT EXISTS product_orders (
    id TEXT PRIMARY KEY,
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    line TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    delivery_amount INTEGER NOT NULL CHECK (delivery_amount >= 0),
    status TEXT NOT NULL CHECK (status IN (
        'PAYED', 'DELIVERING', 'DELIVERED', 'PURCHASE_DECIDED', 'EXCHANGED', 'CANCELED', 'RETURNED')),
    claim_type TEXT CHECK (claim_type IN ('CANCEL', 'RETURN', 'EXCHANGE', 'ADMIN_CANCEL')),
    claim_status TEXT,
    placed_at INTEGER,
    withheld TEXT,
    delivery TEXT,
    paid_at INTEGER NOT NULL,
    due INTEGER NOT NULL,
    CHECK (amount + delivery_amount > 0),
    CHECK ((claim_type IS NULL) = (claim_status IS NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS product_orders_of_an_order ON product_orders (mid, order_no);

CREATE TABLE IF NOT EXISTS mall_acts (
    -- What members told about orders, by their own numbers; a void number can never act.
    mid TEXT NOT NULL,
    number TEXT NOT NULL,
    order_no TEXT NOT NULL,
    subject TEXT NOT NULL,
    act TEXT NOT NULL,
    status TEXT NOT NULL,
    content TEXT NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('acted', 'refused')),
    answer TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mid, number)
) STRICT;
CREATE INDEX IF NOT EXISTS mall_acts_of_an_order ON mall_acts (mid, order_no);
CREATE TRIGGER IF NOT EXISTS mall_acts_stay BEFORE UPDATE ON mall_acts
    BEGIN SELECT RAISE(ABORT, 'what was told stays'); END;
CREATE TRIGGER IF NOT EXISTS mall_acts_keep BEFORE DELETE ON mall_acts
    BEGIN SELECT RAISE(ABORT, 'what was told stays'); END;

CREATE TABLE IF NOT EXISTS mall_reviews (
    id INTEGER PRIMARY KEY,
    mid TEXT NOT NULL,
    product_order_id TEXT NOT NULL REFERENCES product_orders,
    kind TEXT NOT NULL CHECK (kind IN ('general', 'premium')),
    score INTEGER NOT NULL,
    title TEXT NOT NULL,
    content TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (product_order_id, kind),
    CHECK ((kind = 'general' AND score BETWEEN 0 AND 2) OR (kind = 'premium' AND score BETWEEN 10 AND 13))
) STRICT;
CREATE INDEX IF NOT EXISTS reviews_of_a_member ON mall_reviews (mid, created_at);

-- Points and prepaid money: whose money an order took. What is left is worked out from the charges.
CREATE TABLE IF NOT EXISTS purses (
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    account TEXT NOT NULL,
    PRIMARY KEY (mid, order_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS purses_of_an_account ON purses (account);

-- Quick pay: members of a shop, and the PINs that they entered for an order.
CREATE TABLE IF NOT EXISTS quick_members (
    mid TEXT NOT NULL,
    member_id TEXT NOT NULL,
    pin_mac BLOB NOT NULL,
    tries INTEGER NOT NULL,
    fido INTEGER NOT NULL,
    money INTEGER NOT NULL CHECK (money >= 0),
    inserted INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (mid, member_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quick_pins (
    mid TEXT NOT NULL,
    order_no TEXT NOT NULL,
    member_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    used_by TEXT,
    PRIMARY KEY (mid, order_no)
) STRICT, WITHOUT ROWID;

-- Wish lists of the mall

CREATE TABLE IF NOT EXISTS mall_wish_pages (
    -- What a shop's page asked to be wished for; whoever holds the id may do it.
    id TEXT PRIMARY KEY,
    mid TEXT NOT NULL REFERENCES members,
    products TEXT NOT NULL,
    opened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS mall_wishes (
    -- One person's list: the sandbox has one shopper.
    mid TEXT NOT NULL,
    product_id TEXT NOT NULL,
    name TEXT NOT NULL,
    wished_at INTEGER NOT NULL,
    PRIMARY KEY (mid, product_id)
) STRICT, WITHOUT ROWID;

-- Wallets of one shop each (BrandPay)

CREATE TABLE IF NOT EXISTS wallets (
    mid TEXT NOT NULL REFERENCES members,
    customer_key TEXT NOT NULL,
    mac BLOB, -- of the password, once there is one
    tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mid, customer_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS wallet_cards (
    mid TEXT NOT NULL,
    customer_key TEXT NOT NULL,
    card_id TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (mid, customer_key, card_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS wallet_pages (
    -- One visit; whoever holds the id may make it.
    id TEXT PRIMARY KEY,
    mid TEXT NOT NULL,
    customer_key TEXT NOT NULL,
    act TEXT NOT NULL,
    page_origin TEXT NOT NULL,
    request_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('closed', 'open', 'done')),
    opened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
