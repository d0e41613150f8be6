-- recordings: who closes one that its hub left open, and when to try again.

alter table recordings
    add column closing_at timestamptz,
    add column finishing_until timestamptz,
    add column closing_retry_at timestamptz,
    add column closing_failures integer not null default 0,
    add column closing_error text,
    add column closing_lost_seq integer,
    add column closing_lost_count integer not null default 0,
    add column closing_lost_at timestamptz,
    add constraint recordings_closing_failures check (closing_failures >= 0),
    add constraint recordings_closing_error_length check (length(closing_error) <= 500);
comment on column recordings.closing_at is
    'since when its completer signs what is stored: nothing is noted any more; whoever completes it next goes on with that';
comment on column recordings.finishing_until is 'its own hub still stores the end until then, or says so again';
comment on column recordings.closing_lost_seq is 'the segment that was noted and that the store did not give, or not as it was';
comment on column recordings.closing_lost_count is 'how often in a row it was that segment';
comment on column recordings.closing_lost_at is 'since when';
comment on column recordings.closing_error is 'why it could not be closed yet';

-- These change often while a recording is open, and say nothing about what was recorded.
drop index recordings_open;
create index recordings_open on recordings (tenant_id, closing_retry_at, session_id) where state = 'recording';
