-- all --
-- Every data key, sealed by the root key.
SELECT id, sealed FROM data_keys ORDER BY id;

-- add --
-- A data key; no row comes back when somebody else took its number.
INSERT INTO data_keys (id, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id;

-- rewrap --
-- The same data key, sealed by another root key.
UPDATE data_keys SET sealed = $2 WHERE id = $1 AND sealed = $3 RETURNING id;

-- used --
-- Every data key and how many blobs it seals.
SELECT id, made_at,
       (SELECT count(*) FROM channels WHERE data_key = k.id) AS channels,
       (SELECT count(*) FROM merchants WHERE data_key = k.id) AS merchants,
       (SELECT count(*) FROM payment_secrets WHERE data_key = k.id) AS payments,
       (SELECT count(*) FROM deposit_secrets WHERE data_key = k.id) AS deposits,
       (SELECT count(*) FROM idempotency WHERE data_key = k.id) AS answers,
       (SELECT count(*) FROM quick_prepared WHERE data_key = k.id) AS quick_prepared,
       (SELECT count(*) FROM certifications WHERE data_key = k.id) AS certifications,
       (SELECT count(*) FROM notices WHERE data_key = k.id) AS notices,
       (SELECT count(*) FROM billing_keys WHERE data_key = k.id) AS billing_keys,
       (SELECT count(*) FROM cash_receipts WHERE data_key = k.id) AS cash_receipts,
       (SELECT count(*) FROM errands WHERE data_key = k.id) AS errands,
       (SELECT count(*) FROM schedules WHERE data_key = k.id) AS schedules
  FROM data_keys k ORDER BY id;

-- retire --
-- Remove a data key, if a newer one is known everywhere by now ($2 old at least). A foreign key
-- refuses it while it seals anything.
DELETE FROM data_keys
 WHERE id = $1 AND EXISTS (SELECT FROM data_keys n WHERE n.id > $1 AND n.made_at <= now() - $2::interval)
RETURNING id;

-- old_channels --
-- Channels whose settings an older data key seals.
SELECT channel_key AS row, channel_key AS place, settings AS sealed FROM channels
 WHERE data_key < $1 AND channel_key > $2 ORDER BY channel_key LIMIT $3;

-- swap_channels --
-- Put the new blobs there, each only over the one that was opened.
UPDATE channels t SET settings = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.channel_key = n.row AND t.settings = n.old RETURNING 1;

-- old_merchants --
-- Merchants whose webhook secret an older data key seals.
SELECT lpad(id::text, 19, '0') AS row, id::text AS place, webhook_secret AS sealed FROM merchants
 WHERE data_key < $1 AND lpad(id::text, 19, '0') > $2 ORDER BY 1 LIMIT $3;

-- swap_merchants --
-- Put the new blobs there, each only over the one that was opened.
UPDATE merchants t SET webhook_secret = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.id = n.row::bigint AND t.webhook_secret = n.old RETURNING 1;

-- old_payments --
-- Payments whose personal data an older data key seals.
SELECT imp_uid AS row, imp_uid AS place, sealed FROM payment_secrets
 WHERE data_key < $1 AND imp_uid > $2 ORDER BY imp_uid LIMIT $3;

-- swap_payments --
-- Put the new blobs there, each only over the one that was opened.
UPDATE payment_secrets t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.imp_uid = n.row AND t.sealed = n.old RETURNING 1;

-- old_deposits --
-- Deposits whose depositor an older data key seals. `row` is the channel and the notice.
SELECT lpad(channel_id::text, 19, '0') || '/' || notice_key AS row, channel_id || '/' || notice_key AS place, sealed
  FROM deposit_secrets
 WHERE data_key < $1 AND (channel_id, notice_key) > (COALESCE(NULLIF(split_part($2, '/', 1), ''), '0')::bigint, substr($2, 21))
 ORDER BY channel_id, notice_key LIMIT $3;

-- swap_deposits --
-- Put the new blobs there, each only over the one that was opened.
UPDATE deposit_secrets t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.channel_id = split_part(n.row, '/', 1)::bigint AND t.notice_key = substr(n.row, 21) AND t.sealed = n.old
RETURNING 1;

-- old_answers --
-- Requests with an Idempotency-Key whose fingerprint and answer an older data key seals.
SELECT lpad(id::text, 19, '0') AS row, merchant_id || ' ' || method || ' ' || path || ' ' || key AS place, sealed
  FROM idempotency
 WHERE data_key < $1 AND id > COALESCE(NULLIF($2, ''), '0')::bigint ORDER BY id LIMIT $3;

-- swap_answers --
-- Put the new blobs there, each only over the one that was opened.
UPDATE idempotency t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.id = n.row::bigint AND t.sealed = n.old RETURNING 1;

-- old_notices --
-- Notices that an older data key seals. `row` is the channel and the digest.
SELECT lpad(channel_id::text, 19, '0') || '/' || encode(digest, 'hex') AS row,
       channel_id || '/' || encode(digest, 'hex') AS place, sealed
  FROM notices
 WHERE data_key < $1 AND lpad(channel_id::text, 19, '0') || '/' || encode(digest, 'hex') > $2
 ORDER BY 1 LIMIT $3;

-- swap_notices --
-- Put the new blobs there, each only over the one that was opened.
UPDATE notices t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.channel_id = split_part(n.row, '/', 1)::bigint AND t.digest = decode(split_part(n.row, '/', 2), 'hex')
   AND t.sealed = n.old
RETURNING 1;

-- old_billing_keys --
-- Billing keys that an older data key seals.
SELECT lpad(id::text, 19, '0') AS row, number AS place, sealed FROM billing_keys
 WHERE data_key < $1 AND id > COALESCE(NULLIF($2, ''), '0')::bigint ORDER BY id LIMIT $3;

-- swap_billing_keys --
-- Put the new blobs there, each only over the one that was opened.
UPDATE billing_keys t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.id = n.row::bigint AND t.sealed = n.old RETURNING 1;

-- old_certifications --
-- Certifications whose person an older data key seals.
SELECT imp_uid AS row, imp_uid AS place, sealed FROM certifications
 WHERE data_key < $1 AND imp_uid > $2 ORDER BY imp_uid LIMIT $3;

-- swap_certifications --
-- Put the new blobs there, each only over the one that was opened.
UPDATE certifications t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.imp_uid = n.row AND t.sealed = n.old RETURNING 1;

-- old_schedules --
-- Schedules whose buyer an older data key seals.
SELECT lpad(id::text, 19, '0') AS row, number AS place, sealed FROM schedules
 WHERE data_key < $1 AND id > COALESCE(NULLIF($2, ''), '0')::bigint ORDER BY id LIMIT $3;

-- swap_schedules --
-- Put the new blobs there, each only over the one that was opened.
UPDATE schedules t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.id = n.row::bigint AND t.sealed = n.old RETURNING 1;

-- old_cash_receipts --
-- Rows of cash_receipts that an older data key seals.
SELECT lpad(id::text, 19, '0') AS row, number AS place, sealed FROM cash_receipts
 WHERE data_key < $1 AND id > COALESCE(NULLIF($2, ''), '0')::bigint ORDER BY id LIMIT $3;

-- swap_cash_receipts --
-- Put the new blobs there, each only over the one that was opened.
UPDATE cash_receipts t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.id = n.row::bigint AND t.sealed = n.old RETURNING 1;

-- old_errands --
-- Rows of errands that an older data key seals.
SELECT lpad(id::text, 19, '0') AS row, number AS place, sealed FROM errands
 WHERE data_key < $1 AND id > COALESCE(NULLIF($2, ''), '0')::bigint ORDER BY id LIMIT $3;

-- swap_errands --
-- Put the new blobs there, each only over the one that was opened.
UPDATE errands t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.id = n.row::bigint AND t.sealed = n.old RETURNING 1;

-- old_quick_prepared --
-- Announced orders of quick pay that an older data key seals. `row` is the merchant and the order.
SELECT lpad(merchant_id::text, 19, '0') || '/' || merchant_uid AS row, merchant_id || '/' || merchant_uid AS place, sealed
  FROM quick_prepared
 WHERE data_key < $1 AND (merchant_id, merchant_uid) > (COALESCE(NULLIF(split_part($2, '/', 1), ''), '0')::bigint, substr($2, 21))
 ORDER BY merchant_id, merchant_uid LIMIT $3;

-- swap_quick_prepared --
-- Put the new blobs there, each only over the one that was opened.
UPDATE quick_prepared t SET sealed = n.new FROM unnest($1::text[], $2::bytea[], $3::bytea[]) n (row, old, new)
 WHERE t.merchant_id = split_part(n.row, '/', 1)::bigint AND t.merchant_uid = substr(n.row, 21) AND t.sealed = n.old
RETURNING 1;
