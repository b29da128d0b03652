-- forget --
-- The library keeps three rows of log per job; those that its statistics have counted may go.
DELETE FROM jobs_log WHERE aggregated AND created < now() - $1::interval;
