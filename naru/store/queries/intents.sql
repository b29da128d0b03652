-- open_cancel --
-- We are about to ask the PG to give money back; refused by index while another question is open.
INSERT INTO intents (imp_uid, kind, number, amount, balance_before, request, opened_at, next_try_at)
VALUES ($1, 'cancel', $2, $3, $4, $5, $6, $7)
RETURNING id;

-- open_close_account --
-- We are about to close a virtual account at the PG.
INSERT INTO intents (imp_uid, kind, number, amount, request, opened_at, next_try_at)
VALUES ($1, 'close_account', $2, $3, '{}', $4, $5)
RETURNING id;

-- end --
-- The question is answered, and what was kept to ask it again is forgotten. No row: somebody else
-- ended it.
WITH ended AS (
    UPDATE intents SET state = $2, closed_at = $3, outcome = $4
     WHERE id = $1 AND state IN ('open', 'unknown', 'undoing')
 RETURNING id
), forgotten AS (
    DELETE FROM kept_tickets WHERE intent_id IN (SELECT id FROM ended)
)
SELECT id FROM ended;

-- doubt --
-- Nobody knows what the PG did (`unknown`), or a net-cancel is decided (`undoing`); try again then.
-- No row: it is ended, being undone already, or somebody else tries by now ($5 is an old number).
UPDATE intents SET state = $2, tries = tries + 1, next_try_at = $3, outcome = $4
 WHERE id = $1 AND fence = $5
   AND (state IN ('open', 'unknown') OR (state = 'undoing' AND $2 = 'undoing'))
RETURNING id;

-- undo --
-- A net-cancel is decided, whoever decides it: as long as the question is open that is safe.
UPDATE intents SET state = 'undoing', tries = tries + 1, next_try_at = $2, outcome = $3
 WHERE id = $1 AND state IN ('open', 'unknown', 'undoing')
RETURNING id;

-- of_payment --
-- The one open question about this payment.
SELECT * FROM intents WHERE imp_uid = $1 AND state IN ('open', 'unknown', 'undoing');

-- all_of_payment --
-- Everything that a PG was ever asked about this payment, oldest first.
SELECT * FROM intents WHERE imp_uid = $1 ORDER BY id;

-- approval_of --
-- When the approval of this payment was asked for.
SELECT * FROM intents WHERE imp_uid = $1 AND kind IN ('approve', 'issue_account') ORDER BY id LIMIT 1;

-- of_number --
-- The question with this number, open or ended.
SELECT * FROM intents WHERE kind = $1 AND number = $2;

-- due --
-- Open questions whose next try is due, oldest first.
SELECT imp_uid FROM intents
 WHERE state IN ('open', 'unknown', 'undoing') AND next_try_at <= $1
 ORDER BY next_try_at LIMIT $2;

-- lease --
-- Take a due question for one try: nobody else tries before `next_try_at`, and who tried before
-- holds an old number.
UPDATE intents SET next_try_at = $2, fence = fence + 1, tried_at = $3
 WHERE imp_uid = $1 AND state IN ('open', 'unknown', 'undoing') AND next_try_at <= $3
RETURNING *;

-- keep --
-- Who asks first was slow, or its clock was set. If nobody took the question up, it is kept until $3.
UPDATE intents SET next_try_at = GREATEST(next_try_at, $3)
 WHERE kind = $1 AND number = $2 AND state = 'open' AND fence = 0
RETURNING id;

-- superseded --
-- Has somebody leased this question since $2? Held, so that the answer stays true until the commit.
SELECT fence > $2 FROM intents WHERE id = $1 FOR NO KEY UPDATE;

-- hasten --
-- Somebody reads or acts on a doubtful payment: try now, unless it was just tried ($3). Not while
-- the first answer may still come.
UPDATE intents SET next_try_at = $2
 WHERE imp_uid = $1 AND state IN ('unknown', 'undoing') AND next_try_at > $2
   AND COALESCE(tried_at, opened_at) <= $3
RETURNING id;

-- hasten_channel --
-- This channel's PG answers again: what waits for a later rung may be tried now, oldest first.
UPDATE intents SET next_try_at = $2
 WHERE id IN (SELECT i.id FROM intents i JOIN payments p USING (imp_uid)
               WHERE p.channel_id = $1 AND i.state IN ('unknown', 'undoing') AND i.next_try_at > $2
                 AND COALESCE(i.tried_at, i.opened_at) <= $3
               ORDER BY i.opened_at LIMIT 100 FOR UPDATE OF i SKIP LOCKED)
RETURNING imp_uid;

-- probe --
-- One doubt per channel that is tried whatever rung it waits for, unless one of that channel was
-- tried a moment ago ($2) or is about to be: so a PG that is well again is noticed within a minute.
-- Doubts older than $3 keep to their ladder.
UPDATE intents SET next_try_at = $1
 WHERE id IN (SELECT DISTINCT ON (p.channel_id) i.id
                FROM intents i JOIN payments p USING (imp_uid)
               WHERE i.state IN ('unknown', 'undoing') AND i.opened_at > $3
                 AND i.next_try_at > $1::timestamptz + ($1::timestamptz - $2::timestamptz)
                 AND NOT EXISTS (SELECT 1 FROM intents o JOIN payments q USING (imp_uid)
                                  WHERE q.channel_id = p.channel_id
                                    AND o.state IN ('open', 'unknown', 'undoing')
                                    AND (o.tried_at > $2 OR o.next_try_at <= $1::timestamptz + ($1::timestamptz - $2::timestamptz)))
               ORDER BY p.channel_id, i.opened_at)
RETURNING imp_uid;

-- doubts --
-- What nobody here knows: said so, or asked and not answered in time. Oldest first.
SELECT * FROM intents
 WHERE state IN ('unknown', 'undoing') OR (state = 'open' AND next_try_at <= $1)
 ORDER BY opened_at, id LIMIT $2;

-- tried --
-- One line in the history of a doubt: what was asked, or what came back and when the next try is.
INSERT INTO intent_tries (intent_id, number, at, what, sentence, next_try_at)
VALUES ($1, $2, $3, $4, $5, (SELECT CASE WHEN $4 = 'answered' AND state IN ('unknown', 'undoing')
                                         THEN next_try_at END FROM intents WHERE id = $1))
RETURNING id;

-- tries_of --
-- The history of one doubt, oldest line first.
SELECT * FROM intent_tries WHERE intent_id = $1 ORDER BY id;

-- keep_ticket --
-- What proves the buyer, sealed, for as long as the PG would take it.
INSERT INTO kept_tickets (intent_id, sealed, dies_at)
SELECT id, $2, $3 FROM intents WHERE imp_uid = $1 AND state = 'open'
RETURNING intent_id;

-- kept_ticket --
-- The sealed ticket of this question, if it is still worth something.
SELECT sealed FROM kept_tickets WHERE intent_id = $1 AND dies_at > $2;

-- forget_tickets --
-- Tickets that no PG would take any more.
DELETE FROM kept_tickets WHERE dies_at <= $1
RETURNING intent_id;
