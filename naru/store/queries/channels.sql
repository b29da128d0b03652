-- of_merchant --
-- Every channel of a merchant, default first.
SELECT * FROM channels WHERE merchant_id = $1 ORDER BY is_default DESC, id;

-- every --
-- The channels of all merchants, oldest first.
SELECT * FROM channels ORDER BY id;

-- sharing --
-- Every channel of this PG code and MID at the same connector, whoever's, oldest first.
SELECT * FROM channels WHERE connector = $1 AND pg_code = $2 AND mid = $3 ORDER BY id;

-- get --
-- One channel.
SELECT * FROM channels WHERE id = $1;

-- by_key --
-- One channel by the key that PG notices name.
SELECT * FROM channels WHERE channel_key = $1;

-- key_of --
-- What a channel's settings are bound to.
SELECT channel_key FROM channels WHERE id = $1;

-- add --
-- A new channel; adding the same PG code and MID again changes nothing.
INSERT INTO channels (merchant_id, channel_key, pg_code, mid, connector, test, kind, is_default, settings, name)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (merchant_id, pg_code, mid, kind) DO NOTHING
RETURNING id;

-- undefault --
-- No channel of this kind is the default.
UPDATE channels SET is_default = false WHERE merchant_id = $1 AND kind = $2 AND is_default;

-- make_default --
-- This channel is the default of its kind.
UPDATE channels SET is_default = true WHERE id = $1 AND merchant_id = $2 RETURNING kind;

-- change_settings --
-- The addresses and keys of a channel.
UPDATE channels SET settings = $2 WHERE id = $1;
