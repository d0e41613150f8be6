-- For how long the oldest event or row change has waited for its place. Of what the watermark has not passed alone: what
-- it has passed and has none is found by openpam audit verify.
create function openpam.ledger_waiting() returns double precision
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select coalesce(extract(epoch from clock_timestamp() - least(
        (select min(e.occurred_at) from public.ledger_leader l, public.audit_events e
         where e.xid >= pg_snapshot_xmin(l.watermark) and not pg_visible_in_snapshot(e.xid, l.watermark)
           and not exists (select from public.ledger_entries p
                           where p.tenant_id = e.tenant_id and p.event_id = e.audit_event_id and p.kind = 1)),
        (select min(c.occurred_at) from public.ledger_leader l, public.row_changes c
         where c.xid >= pg_snapshot_xmin(l.watermark) and not pg_visible_in_snapshot(c.xid, l.watermark)
           and not exists (select from public.ledger_entries p
                           where p.tenant_id = c.tenant_id and p.event_id = c.row_change_id and p.kind = 2))
    )), 0)::double precision;
end;

-- A leader that was seen in the future is as silent as one that was seen long ago.
create or replace function openpam.ledger_lead(candidate uuid, has_lock boolean, silence interval, wanted_name text)
    returns table (epoch bigint, name text)
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    update public.ledger_leader l
    set epoch = l.epoch + 1, holder = candidate, since = clock_timestamp(), seen_at = clock_timestamp(),
        name = coalesce(l.name, wanted_name)
    where has_lock or l.seen_at < clock_timestamp() - silence or l.seen_at > clock_timestamp() + silence
    returning l.epoch, l.name;
end;

create or replace function openpam.ledger_state()
    returns table (holder uuid, epoch bigint, silence double precision, lag double precision, entries bigint)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select l.holder, l.epoch, abs(extract(epoch from clock_timestamp() - l.seen_at))::double precision,
           coalesce((select max(abs(extract(epoch from clock_timestamp() - e.sequenced_at)))::double precision
                     from public.ledger_heads h
                     join public.ledger_entries e on e.tenant_id = h.tenant_id
                      and e.seq = coalesce((select max(c.size) from public.ledger_checkpoints c
                                            where c.tenant_id = h.tenant_id), 0)), 0),
           coalesce((select sum(h.size) from public.ledger_heads h), 0)::bigint
    from public.ledger_leader l;
end;

-- What the system's log says last of each tenant's, of its first `until` leaves.
create function openpam.ledger_latest_leaves(until bigint) returns table (tenant_id uuid, text text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id, s.text from public.ledger_heads h
    cross join lateral (select l.text from public.ledger_system_leaves l
                        where l.tenant_id = h.tenant_id and l.seq < until order by l.size desc limit 1) s;
end;

revoke all on function openpam.ledger_waiting(), openpam.ledger_latest_leaves(bigint) from public;
grant execute on function openpam.ledger_waiting(), openpam.ledger_latest_leaves(bigint) to openpam_app;
