-- forget --
-- The library keeps three rows of log per job; those that its statistics have counted may go.
DELETE FROM jobs_log WHERE aggregated AND created < now() - $1::interval;

-- put_right --
-- The same for jobs, which are wake-up calls: one that was asked for in time to come runs now, and one
-- that a worker seems to hold until then is held by nobody.
UPDATE jobs SET created = now(), execute_after = LEAST(execute_after, now()),
       heartbeat = LEAST(heartbeat, now() - interval '10 minutes')
 WHERE created > now() + interval '1 minute' OR heartbeat > now() + interval '1 minute';
