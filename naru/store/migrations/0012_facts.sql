-- Facts of PGs: what a deposit may have meant, told exactly, and where two books differ.

ALTER TABLE deposits DROP CONSTRAINT deposits_meaning_check;
ALTER TABLE deposits ADD CONSTRAINT deposits_meaning_check CHECK (meaning IN (
    'exact', 'short', 'over', 'late', 'early', 'after_end', 'other_account', 'other_currency', 'unknown_order'));

-- Accounts past their due date are looked for every few minutes.
CREATE INDEX payments_waiting ON payments (vbank_due) WHERE step = 'waiting_deposit';

-- Every difference between the PG's book and ours, once, with what was done about it.
CREATE TABLE book_differences (
    channel_id bigint NOT NULL REFERENCES channels (id),
    -- One of naru/domain/book.py.
    kind text NOT NULL COLLATE "C",
    -- The PG's name for the movement: an order, cancel or notice number with its transaction id.
    subject text NOT NULL COLLATE "C",
    order_no text COLLATE "C",
    imp_uid text COLLATE "C" REFERENCES payments (imp_uid),
    -- Minor units; null where nothing is written.
    ours bigint,
    theirs bigint,
    currency text NOT NULL,
    at timestamptz NOT NULL,
    ending text NOT NULL CHECK (ending IN ('booked', 'undone', 'told')),
    found_at timestamptz NOT NULL,
    CHECK (ours IS NOT NULL OR theirs IS NOT NULL),
    PRIMARY KEY (channel_id, kind, subject)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON book_differences
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON book_differences
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Comparisons that went through to the end, so that a missing one is seen.
CREATE TABLE book_comparisons (
    channel_id bigint NOT NULL REFERENCES channels (id),
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    movements bigint NOT NULL,
    differences bigint NOT NULL,
    PRIMARY KEY (channel_id, began_at)
);
