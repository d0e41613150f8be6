-- What is to be signed: heads that are larger than their tenants' last checkpoints, the longest waiting first; and
-- heads that are smaller than a checkpoint, which nobody but a forger or a restore makes so.
create function openpam.ledger_to_sign(most integer)
    returns table (tenant_id uuid, frontier bytea, ahead text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id, h.frontier, case when l.size > h.size then l.note end
    from public.ledger_heads h
    left join lateral (select c.size, c.note, c.signed_at from public.ledger_checkpoints c
                       where c.tenant_id = h.tenant_id order by c.size desc limit 1) l on true
    where h.size <> coalesce(l.size, 0)
    order by l.signed_at nulls first, h.tenant_id limit most;
end;

-- The tenants' last checkpoints that are no leaves of the system's log yet.
create function openpam.ledger_not_in_system(most integer)
    returns table (tenant_id uuid, size bigint, note text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id, l.size, l.note
    from public.ledger_heads h
    cross join lateral (select c.size, c.note from public.ledger_checkpoints c
                        where c.tenant_id = h.tenant_id and c.size <= h.size order by c.size desc limit 1) l
    where not exists (select from public.ledger_system_leaves s where s.tenant_id = h.tenant_id and s.size = l.size)
    order by h.tenant_id limit most;
end;

revoke all on function openpam.ledger_to_sign(integer), openpam.ledger_not_in_system(integer) from public;
grant execute on function openpam.ledger_to_sign(integer), openpam.ledger_not_in_system(integer) to openpam_app;

-- The events that `seen` did not see and `until` does, behind a place, in the order of their transactions. Where
-- nothing was seen, whatever has no place: a database that was restored into a cluster that has counted fewer
-- transactions has rows of numbers that this one has yet to come to.
create or replace function openpam.ledger_new_events(seen text, until text, after_xid bigint, after_id uuid, most integer)
    returns table (xid bigint, event_id uuid, tenant_id uuid, occurred_us bigint, actor_type text, actor_id uuid,
                   actor_name text, action text, outcome text, object_type text, object_id uuid, object_name text,
                   request_id text, client_address text, detail text, salts bytea)
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    old pg_snapshot := seen::pg_snapshot;
    new pg_snapshot := until::pg_snapshot;
    behind xid8 := after_xid::text::xid8;
    unseen boolean := seen = '1:1:';
begin
    return query
    with fresh as (
        (select e.* from public.audit_events e
         where e.xid >= pg_snapshot_xmax(old) and (e.xid, e.audit_event_id) > (behind, after_id)
           and (unseen or pg_visible_in_snapshot(e.xid, new))
           and not exists (select from public.ledger_entries l
                           where l.tenant_id = e.tenant_id and l.event_id = e.audit_event_id and l.kind = 1)
         order by e.xid, e.audit_event_id limit most)
        union all
        (select e.* from pg_snapshot_xip(old) x cross join lateral (
            -- What has its place must not count towards the limit: nobody would come back for the rest.
            select * from public.audit_events a
            where a.xid = x and (a.xid, a.audit_event_id) > (behind, after_id)
              and (unseen or pg_visible_in_snapshot(a.xid, new))
              and not exists (select from public.ledger_entries l
                              where l.tenant_id = a.tenant_id and l.event_id = a.audit_event_id and l.kind = 1)
            order by a.audit_event_id limit most) e)
    )
    select f.xid::text::bigint, f.audit_event_id, f.tenant_id, (extract(epoch from f.occurred_at) * 1000000)::bigint,
           f.actor_type, f.actor_id, f.actor_name, f.action, f.outcome, f.object_type, f.object_id, f.object_name,
           f.request_id, host(f.client_ip), f.detail::text, f.salts
    from fresh f order by f.xid, f.audit_event_id limit most;
end
$$;

create or replace function openpam.ledger_new_changes(seen text, until text, after_xid bigint, after_id uuid, most integer)
    returns table (xid bigint, event_id uuid, tenant_id uuid, occurred_us bigint, table_name text, operation text,
                   row_id text, before_image text, after_image text, actor text, request_id text, database_user text,
                   salts bytea)
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    old pg_snapshot := seen::pg_snapshot;
    new pg_snapshot := until::pg_snapshot;
    behind xid8 := after_xid::text::xid8;
    unseen boolean := seen = '1:1:';
begin
    return query
    with fresh as (
        (select c.* from public.row_changes c
         where c.xid >= pg_snapshot_xmax(old) and (c.xid, c.row_change_id) > (behind, after_id)
           and (unseen or pg_visible_in_snapshot(c.xid, new))
           and not exists (select from public.ledger_entries l
                           where l.tenant_id = c.tenant_id and l.event_id = c.row_change_id and l.kind = 2)
         order by c.xid, c.row_change_id limit most)
        union all
        (select c.* from pg_snapshot_xip(old) x cross join lateral (
            select * from public.row_changes r
            where r.xid = x and (r.xid, r.row_change_id) > (behind, after_id)
              and (unseen or pg_visible_in_snapshot(r.xid, new))
              and not exists (select from public.ledger_entries l
                              where l.tenant_id = r.tenant_id and l.event_id = r.row_change_id and l.kind = 2)
            order by r.row_change_id limit most) c)
    )
    select f.xid::text::bigint, f.row_change_id, f.tenant_id, (extract(epoch from f.occurred_at) * 1000000)::bigint,
           f.table_name, f.operation, f.row_id, f.before_image::text, f.after_image::text, f.actor, f.request_id,
           f.database_user, f.salts
    from fresh f order by f.xid, f.row_change_id limit most;
end
$$;

-- For the owner alone, after a restore that took the database behind what was anchored: a ledger of another name, in
-- which everything that is there gets its place anew. What there is of the one before is kept in a schema of its own;
-- its trees can be made again of its entries.
create function openpam.ledger_begin_anew(new_name text) returns text
    language plpgsql as $$
declare
    leader public.ledger_leader;
    kept text;
    part text;
begin
    select * into leader from public.ledger_leader for update;
    if leader.name is null or leader.name = new_name then
        raise exception 'the ledger has no name yet, or has this one' using constraint = 'ledger_begin_anew_name';
    end if;
    if leader.seen_at > clock_timestamp() - interval '10 seconds' then
        raise exception 'a hub leads the ledger' using constraint = 'ledger_begin_anew_led';
    end if;
    kept := 'openpam_ledger_' || leader.epoch;
    execute format('create schema %I', kept);
    foreach part in array array['ledger_entries', 'ledger_checkpoints', 'ledger_heads', 'ledger_system_leaves',
                                'ledger_system_checkpoints'] loop
        execute format('create table %I.%I as table public.%I', kept, part, part);
    end loop;
    foreach part in array array['ledger_entries', 'ledger_checkpoints', 'ledger_heads', 'ledger_tiles',
                                'ledger_system_leaves', 'ledger_system_checkpoints', 'ledger_system_tiles'] loop
        execute format('alter table public.%I disable trigger user', part);
        execute format('truncate public.%I', part);
        execute format('alter table public.%I enable trigger user', part);
    end loop;
    update public.ledger_leader set name = new_name, epoch = epoch + 1, watermark = '1:1:', holder = null;
    return kept;
end
$$;
revoke all on function openpam.ledger_begin_anew(text) from public;
comment on column ledger_leader.name is 'the ledger''s name, which its checkpoints begin with; changed by ledger_begin_anew alone';
