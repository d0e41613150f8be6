-- How long a hub may be silent before others take it for dead: each says so itself, since it depends on
-- how long it lets sessions go on while it does not reach the database.
alter table hubs add column silent_after interval not null default interval '40 seconds';
alter table hubs add constraint hubs_silent_after_positive check (silent_after > interval '0 seconds');
comment on column hubs.silent_after is 'without a heartbeat for this long the hub counts as dead';
