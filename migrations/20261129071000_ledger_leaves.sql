-- ledger: leaves of the system's log with their places, so that a hub that starts can prove those that it believes; and
-- beats of other tenants than those that get none.

create function openpam.ledger_last_leaves(until bigint) returns table (seq bigint, tenant_id uuid, text text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select s.seq, h.tenant_id, s.text from public.ledger_heads h
    cross join lateral (select l.seq, l.text from public.ledger_system_leaves l
                        where l.tenant_id = h.tenant_id and l.seq < until order by l.size desc limit 1) s;
end;

create function openpam.ledger_beats_due(every interval, most integer, but uuid[]) returns setof uuid
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id from public.ledger_heads h
    where (h.beat_at < clock_timestamp() - every or h.beat_at > clock_timestamp() + every)
      and h.tenant_id <> all (but)
      and not exists (select from public.ledger_damaged d where d.tenant_id = h.tenant_id)
    order by h.beat_at limit most;
end;

revoke all on function openpam.ledger_last_leaves(bigint), openpam.ledger_beats_due(interval, integer, uuid[])
    from public;
grant execute on function openpam.ledger_last_leaves(bigint), openpam.ledger_beats_due(interval, integer, uuid[])
    to openpam_app;
