-- Cancels of one second stay in the order in which they happened: PGs tell their time in whole seconds.
ALTER TABLE cancellations ADD COLUMN place bigint GENERATED ALWAYS AS IDENTITY;
