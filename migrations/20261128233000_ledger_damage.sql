-- ledger: a damaged tenant waits by itself and holds up nobody; beats that show for how long no place was given;
-- triggers that no session switches off for itself; contents that are erased on the record.

-- A walk that could not go on: where it stood, so that a retry begins with what waits.
create table ledger_damaged (
    tenant_id       uuid not null references tenants,
    reason          text not null,
    since           timestamptz not null default clock_timestamp(),
    tried_at        timestamptz not null default clock_timestamp(),
    seen            pg_snapshot not null,
    until           pg_snapshot,
    events_xid      bigint not null default 0,
    events_id       uuid not null default '00000000-0000-0000-0000-000000000000',
    events_through  boolean not null default false,
    changes_xid     bigint not null default 0,
    changes_id      uuid not null default '00000000-0000-0000-0000-000000000000',
    changes_through boolean not null default false,
    constraint ledger_damaged_pkey primary key (tenant_id)
);
comment on table ledger_damaged is 'tenants whose events get no places, for what is stored of their ledger is damaged';
comment on column ledger_damaged.seen is 'all of the tenant''s that this snapshot sees has its place';
comment on column ledger_damaged.until is 'the snapshot of the walk that could not go on; null between walks';
call openpam.isolate_by_tenant('ledger_damaged');
-- Each tenant sees its own; the leader reaches all of them through the functions below.
revoke insert, update, delete on ledger_damaged from openpam_app;
create policy ledger_by_owner on ledger_damaged to current_user using (true) with check (true);

alter table ledger_heads add column beat_at timestamptz not null default clock_timestamp();
comment on column ledger_heads.beat_at is 'when the last ledger.beat got its place: the next follows in time';

-- What the leader looks at: at most so many rows behind a place, whatever comes of them. Those that are to get places
-- come (`fresh`), and the last one looked at, for the next look to begin behind it; in no order. Rows of damaged tenants
-- are passed by, unless the look is for one of them. Whoever knows that none is placed yet need not look for it. Where nothing was seen, whatever has no place is fresh: a
-- database that was restored into a cluster that has counted fewer transactions has rows of numbers to come.
create function openpam.ledger_look_at_events(seen text, until text, after_xid bigint, after_id uuid, most integer,
                                              only_tenant uuid, some_are_placed boolean)
    returns table (xid bigint, event_id uuid, fresh boolean, looked bigint, tenant_id uuid, occurred_at timestamptz,
                   actor_type text, actor_id uuid, actor_name text, action text, outcome text, object_type text,
                   object_id uuid, object_name text, request_id text, client_address text, detail text, salts bytea)
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    old pg_snapshot := seen::pg_snapshot;
    new pg_snapshot := until::pg_snapshot;
    behind xid8 := after_xid::text::xid8;
    unseen boolean := seen = '1:1:';
begin
    return query
    with looked as materialized (
        select b.* from (
            (select e.* from public.audit_events e
             where e.xid >= pg_snapshot_xmax(old) and (unseen or e.xid < pg_snapshot_xmax(new))
               and (e.xid, e.audit_event_id) > (behind, after_id)
             order by e.xid, e.audit_event_id limit most)
            union all
            (select e.* from pg_snapshot_xip(old) x cross join lateral (
                select * from public.audit_events a
                where a.xid = x and (a.xid, a.audit_event_id) > (behind, after_id)
                order by a.audit_event_id limit most) e)
        ) b order by b.xid, b.audit_event_id limit most
    ), looked_at as (
        select count(*) as rows from looked
    ), last as (
        select k.xid, k.audit_event_id from looked k order by k.xid desc, k.audit_event_id desc limit 1
    )
    select k.xid::text::bigint, k.audit_event_id, f.fresh, n.rows, k.tenant_id, k.occurred_at, k.actor_type, k.actor_id, k.actor_name, k.action,
           k.outcome, k.object_type, k.object_id, k.object_name, k.request_id, host(k.client_ip), k.detail::text, k.salts
    from looked k cross join looked_at n cross join last z
    left join public.ledger_damaged d on d.tenant_id = k.tenant_id
    -- Row by row: whatever the planner believes, the entries are never gone through as a whole.
    left join lateral (select true as placed from public.ledger_entries l
                       where some_are_placed and l.tenant_id = k.tenant_id and l.event_id = k.audit_event_id
                         and l.kind = 1 limit 1) p on true
    cross join lateral (select p.placed is null and (unseen or pg_visible_in_snapshot(k.xid, new))
                            and case when only_tenant is null then d.tenant_id is null
                                     else k.tenant_id = only_tenant end as fresh) f
    where f.fresh or (k.xid, k.audit_event_id) = (z.xid, z.audit_event_id);
end
$$;

create function openpam.ledger_look_at_changes(seen text, until text, after_xid bigint, after_id uuid, most integer,
                                               only_tenant uuid, some_are_placed boolean)
    returns table (xid bigint, event_id uuid, fresh boolean, looked bigint, tenant_id uuid, occurred_at timestamptz,
                   table_name text, operation text, row_id text, before_image text, after_image text, actor text,
                   request_id text, database_user text, salts bytea)
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    old pg_snapshot := seen::pg_snapshot;
    new pg_snapshot := until::pg_snapshot;
    behind xid8 := after_xid::text::xid8;
    unseen boolean := seen = '1:1:';
begin
    return query
    with looked as materialized (
        select b.* from (
            (select c.* from public.row_changes c
             where c.xid >= pg_snapshot_xmax(old) and (unseen or c.xid < pg_snapshot_xmax(new))
               and (c.xid, c.row_change_id) > (behind, after_id)
             order by c.xid, c.row_change_id limit most)
            union all
            (select c.* from pg_snapshot_xip(old) x cross join lateral (
                select * from public.row_changes r
                where r.xid = x and (r.xid, r.row_change_id) > (behind, after_id)
                order by r.row_change_id limit most) c)
        ) b order by b.xid, b.row_change_id limit most
    ), looked_at as (
        select count(*) as rows from looked
    ), last as (
        select k.xid, k.row_change_id from looked k order by k.xid desc, k.row_change_id desc limit 1
    )
    select k.xid::text::bigint, k.row_change_id, f.fresh, n.rows, k.tenant_id, k.occurred_at, k.table_name, k.operation, k.row_id,
           k.before_image::text, k.after_image::text, k.actor, k.request_id, k.database_user, k.salts
    from looked k cross join looked_at n cross join last z
    left join public.ledger_damaged d on d.tenant_id = k.tenant_id
    -- Row by row: whatever the planner believes, the entries are never gone through as a whole.
    left join lateral (select true as placed from public.ledger_entries l
                       where some_are_placed and l.tenant_id = k.tenant_id and l.event_id = k.row_change_id
                         and l.kind = 2 limit 1) p on true
    cross join lateral (select p.placed is null and (unseen or pg_visible_in_snapshot(k.xid, new))
                            and case when only_tenant is null then d.tenant_id is null
                                     else k.tenant_id = only_tenant end as fresh) f
    where f.fresh or (k.xid, k.row_change_id) = (z.xid, z.row_change_id);
end
$$;

-- The first time counts: it says from where on something may have been left.
create function openpam.ledger_note_damaged(own_epoch bigint, damaged uuid, why text, seen text, until text,
                                            events_xid bigint, events_id uuid, events_through boolean,
                                            changes_xid bigint, changes_id uuid, changes_through boolean) returns void
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    insert into public.ledger_damaged (tenant_id, reason, seen, until, events_xid, events_id, events_through,
                                       changes_xid, changes_id, changes_through)
    select damaged, why, ledger_note_damaged.seen::pg_snapshot, ledger_note_damaged.until::pg_snapshot,
           ledger_note_damaged.events_xid, ledger_note_damaged.events_id, ledger_note_damaged.events_through,
           ledger_note_damaged.changes_xid, ledger_note_damaged.changes_id, ledger_note_damaged.changes_through
    from public.ledger_leader l where l.epoch = own_epoch
    on conflict (tenant_id) do nothing;
end;

-- Those that were tried longest ago, and what is there now. As for the watermark: a database that was restored
-- elsewhere has seen nothing.
create function openpam.ledger_damaged_tenants(most integer)
    returns table (tenant_id uuid, seen text, until text, events_xid bigint, events_id uuid, events_through boolean,
                   changes_xid bigint, changes_id uuid, changes_through boolean)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select d.tenant_id, case when r.restored then '1:1:' else d.seen::text end,
           case when not r.restored then d.until::text end, case when r.restored then 0 else d.events_xid end,
           case when r.restored then '00000000-0000-0000-0000-000000000000' else d.events_id end,
           d.events_through and not r.restored, case when r.restored then 0 else d.changes_xid end,
           case when r.restored then '00000000-0000-0000-0000-000000000000' else d.changes_id end,
           d.changes_through and not r.restored
    from public.ledger_damaged d
    cross join lateral (select pg_snapshot_xmax(coalesce(d.until, d.seen)) > pg_snapshot_xmax(pg_current_snapshot())
                        as restored) r
    order by d.tried_at, d.tenant_id limit most;
end;

-- Where a retry stands. Without news it was only tried.
create function openpam.ledger_damaged_went_on(own_epoch bigint, damaged uuid, new_seen text, new_until text,
                                               new_events_xid bigint, new_events_id uuid, new_events_through boolean,
                                               new_changes_xid bigint, new_changes_id uuid, new_changes_through boolean)
    returns void
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    update public.ledger_damaged d
    set tried_at = clock_timestamp(), seen = new_seen::pg_snapshot, until = new_until::pg_snapshot,
        events_xid = new_events_xid, events_id = new_events_id, events_through = new_events_through,
        changes_xid = new_changes_xid, changes_id = new_changes_id, changes_through = new_changes_through
    from public.ledger_leader l where l.epoch = own_epoch and d.tenant_id = damaged;
end;

-- A tenant all of whose events that the watermark has passed have their places is like the others again. Between the
-- leader's passes only: one that is under way has passed this tenant's rows by.
create function openpam.ledger_damaged_mended(own_epoch bigint, damaged uuid) returns boolean
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    with mended as (
        delete from public.ledger_damaged d using public.ledger_leader l
        where l.epoch = own_epoch and d.tenant_id = damaged and d.until is null
          and pg_snapshot_xmax(d.seen) >= pg_snapshot_xmax(l.watermark)
          and not exists (select from pg_snapshot_xip(d.seen) x where pg_visible_in_snapshot(x, l.watermark))
        returning d.tenant_id)
    select exists (select from mended);
end;

-- Tenants whose last beat is as old as that. Those that get no places get no beats: this is what a beat says.
create function openpam.ledger_beats_due(every interval, most integer) returns setof uuid
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id from public.ledger_heads h
    where (h.beat_at < clock_timestamp() - every or h.beat_at > clock_timestamp() + every)
      and not exists (select from public.ledger_damaged d where d.tenant_id = h.tenant_id)
    order by h.beat_at limit most;
end;

-- As before, of other tenants than these, which cannot be signed.
create function openpam.ledger_to_sign(most integer, but uuid[])
    returns table (tenant_id uuid, frontier bytea, ahead text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id, h.frontier, case when l.size > h.size then l.note end
    from public.ledger_heads h
    left join lateral (select c.size, c.note, c.signed_at from public.ledger_checkpoints c
                       where c.tenant_id = h.tenant_id order by c.size desc limit 1) l on true
    where h.size <> coalesce(l.size, 0) and h.tenant_id <> all (but)
    order by l.signed_at nulls first, h.tenant_id limit most;
end;

create function openpam.ledger_not_in_system(most integer, but uuid[])
    returns table (tenant_id uuid, size bigint, note text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id, l.size, l.note
    from public.ledger_heads h
    cross join lateral (select c.size, c.note from public.ledger_checkpoints c
                        where c.tenant_id = h.tenant_id and c.size <= h.size order by c.size desc limit 1) l
    where not exists (select from public.ledger_system_leaves s where s.tenant_id = h.tenant_id and s.size = l.size)
      and h.tenant_id <> all (but)
    order by h.tenant_id limit most;
end;

-- Says that this leader is there also where it was seen in a time to come, which is as silent as one long ago.
create or replace function openpam.ledger_fence(own_epoch bigint) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    leader public.ledger_leader;
begin
    select * into leader from public.ledger_leader for update;
    if leader.epoch is distinct from own_epoch then
        raise exception 'epoch % was ended by epoch %', own_epoch, leader.epoch
            using errcode = 'object_not_in_prerequisite_state', constraint = 'ledger_fence';
    end if;
    if abs(extract(epoch from clock_timestamp() - leader.seen_at)) > 1 then
        update public.ledger_leader set seen_at = clock_timestamp();
    end if;
end
$$;

-- For how long the oldest event or row change has waited for its place: of the first of those that the watermark has
-- not passed, and of tenants that wait by themselves.
create or replace function openpam.ledger_waiting() returns double precision
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select coalesce(extract(epoch from clock_timestamp() - least(
        (select min(w.occurred_at) from public.ledger_leader l cross join lateral (
             select e.tenant_id, e.audit_event_id, e.xid, e.occurred_at from public.audit_events e
             where e.xid >= pg_snapshot_xmin(l.watermark) order by e.xid, e.audit_event_id limit 10000) w
         where not pg_visible_in_snapshot(w.xid, l.watermark)
           and not exists (select from public.ledger_entries p
                           where p.tenant_id = w.tenant_id and p.event_id = w.audit_event_id and p.kind = 1)),
        (select min(w.occurred_at) from public.ledger_leader l cross join lateral (
             select c.tenant_id, c.row_change_id, c.xid, c.occurred_at from public.row_changes c
             where c.xid >= pg_snapshot_xmin(l.watermark) order by c.xid, c.row_change_id limit 10000) w
         where not pg_visible_in_snapshot(w.xid, l.watermark)
           and not exists (select from public.ledger_entries p
                           where p.tenant_id = w.tenant_id and p.event_id = w.row_change_id and p.kind = 2)),
        (select min(d.since) from public.ledger_damaged d)
    )), 0)::double precision;
end;

-- As before; a leader of a time to come leads no more than a silent one, and damage is of the former ledger.
create or replace function openpam.ledger_begin_anew(new_name text) returns text
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
    if abs(extract(epoch from clock_timestamp() - leader.seen_at)) < 10 then
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
    truncate public.ledger_damaged;
    call openpam.enable_always();
    update public.ledger_leader set name = new_name, epoch = epoch + 1, watermark = '1:1:', holder = null;
    return kept;
end
$$;

-- Nobody has called it since 20261128180000. Those that hubs of before call stay: openpam.ledger_new_events,
-- openpam.ledger_new_changes, and ledger_to_sign and ledger_not_in_system of one argument.
drop function openpam.ledger_unsigned();

revoke all on function openpam.ledger_look_at_events(text, text, bigint, uuid, integer, uuid, boolean),
    openpam.ledger_look_at_changes(text, text, bigint, uuid, integer, uuid, boolean),
    openpam.ledger_note_damaged(bigint, uuid, text, text, text, bigint, uuid, boolean, bigint, uuid, boolean),
    openpam.ledger_damaged_tenants(integer),
    openpam.ledger_damaged_went_on(bigint, uuid, text, text, bigint, uuid, boolean, bigint, uuid, boolean),
    openpam.ledger_damaged_mended(bigint, uuid), openpam.ledger_beats_due(interval, integer),
    openpam.ledger_to_sign(integer, uuid[]), openpam.ledger_not_in_system(integer, uuid[]) from public;
grant execute on function openpam.ledger_look_at_events(text, text, bigint, uuid, integer, uuid, boolean),
    openpam.ledger_look_at_changes(text, text, bigint, uuid, integer, uuid, boolean),
    openpam.ledger_note_damaged(bigint, uuid, text, text, text, bigint, uuid, boolean, bigint, uuid, boolean),
    openpam.ledger_damaged_tenants(integer),
    openpam.ledger_damaged_went_on(bigint, uuid, text, text, bigint, uuid, boolean, bigint, uuid, boolean),
    openpam.ledger_damaged_mended(bigint, uuid), openpam.ledger_beats_due(interval, integer),
    openpam.ledger_to_sign(integer, uuid[]), openpam.ledger_not_in_system(integer, uuid[]) to openpam_app;

-- Row images by whoever changes a row. Who acts is told by the application's role alone: whoever has the database sets
-- openpam.actor as they like.
create or replace function openpam.record_row_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, public, openpam, pg_temp as $$
declare
    before_row jsonb := case when tg_op = 'INSERT' then null else to_jsonb(old) end;
    after_row  jsonb := case when tg_op = 'DELETE' then null else to_jsonb(new) end;
    hidden     text[] := tg_argv[1:];
    tenant     uuid := (coalesce(after_row, before_row) ->> 'tenant_id')::uuid;
    tenant_before text := current_setting('openpam.tenant_id', true);
    acts       boolean := session_user = 'openpam_app'
        or pg_has_role(session_user, 'openpam_app', 'member')
           and not (select rolsuper from pg_roles where rolname = session_user);
begin
    before_row := before_row - hidden;
    after_row := after_row - hidden;
    if tg_op = 'UPDATE' and before_row - 'updated_at' = after_row - 'updated_at' then
        return null;
    end if;
    -- A change by hand has no tenant set: the row itself names it.
    perform set_config('openpam.tenant_id', tenant::text, true);
    insert into public.row_changes (tenant_id, table_name, operation, row_id, before_image, after_image, actor, request_id)
    values (tenant, tg_table_name, lower(tg_op), coalesce(after_row, before_row) ->> tg_argv[0],
            before_row, after_row, case when acts then openpam.current_actor() end, openpam.current_request());
    perform set_config('openpam.tenant_id', coalesce(tenant_before, ''), true);
    return null;
end
$$;

-- Erasure empties contents whose digests stay, in a transaction of the owner that says so; all else is refused.
create function openpam.refuse_change_but_erasure() returns trigger
    language plpgsql as $$
begin
    if tg_op = 'UPDATE' and current_setting('openpam.erasing', true) = 'on'
       and current_user = (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid) then
        return null;
    end if;
    raise exception 'rows of % cannot be changed or removed', tg_table_name
        using errcode = 'restrict_violation', constraint = tg_table_name || '_append_only';
end
$$;

create function openpam.erase_contents_only() returns trigger
    language plpgsql as $$
declare
    erased jsonb := to_jsonb(old) || case tg_table_name
        when 'audit_events' then '{"actor_name": "", "object_name": null, "client_ip": null, "detail": {}, "salts": null}'::jsonb
        else '{"before_image": null, "after_image": null, "database_user": "", "salts": null}'::jsonb
    end || jsonb_build_object('erased_at', to_jsonb(new) -> 'erased_at');
begin
    if old.erased_at is not null or new.erased_at is null or to_jsonb(new) <> erased then
        raise exception 'of a row of % only the contents can be erased, once and whole', tg_table_name
            using errcode = 'restrict_violation', constraint = tg_table_name || '_append_only';
    end if;
    return new;
end
$$;

drop trigger audit_events_append_only on audit_events;
create trigger audit_events_append_only before update or delete or truncate on audit_events
    for each statement execute function openpam.refuse_change_but_erasure();
create trigger audit_events_erased before update on audit_events
    for each row execute function openpam.erase_contents_only();
drop trigger row_changes_append_only on row_changes;
create trigger row_changes_append_only before update or delete or truncate on row_changes
    for each statement execute function openpam.refuse_change_but_erasure();
create trigger row_changes_erased before update on row_changes
    for each row execute function openpam.erase_contents_only();

-- The salts of a row: each is of the cluster's strong random source, and tells nothing of the others.
create function openpam.salts() returns bytea
    language plpgsql volatile parallel safe as $$
declare
    seed bytea := pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
        || pg_catalog.uuid_send(pg_catalog.gen_random_uuid());
begin
    return pg_catalog.sha512(seed || '\x01'::bytea) || pg_catalog.sha512(seed || '\x02'::bytea);
end
$$;
comment on function openpam.salts() is '4 of 32 bytes, made of 244 random bits at half the cost of drawing each';
alter table audit_events alter column salts set default openpam.salts();
alter table row_changes alter column salts set default substr(openpam.salts(), 1, 96);

-- Each entry's tenant is its event's, which the application's role cannot choose: looking it up once more for each
-- entry is a tenth of what an entry costs.
alter table ledger_entries drop constraint ledger_entries_tenant_id_fkey;

-- Triggers that guard the trail fire whatever session_replication_role says.
create procedure openpam.enable_always()
    language plpgsql as $$
declare
    guard record;
begin
    for guard in
        select t.tgrelid::regclass as relation, t.tgname as name from pg_trigger t
        join pg_proc p on p.oid = t.tgfoid
        where p.pronamespace = 'openpam'::regnamespace and not t.tgisinternal and t.tgenabled <> 'A'
          and p.proname in ('record_row_change', 'refuse_change', 'refuse_change_but_erasure', 'erase_contents_only',
                            'ledger_heads_grow')
    loop
        execute format('alter table %s enable always trigger %I', guard.relation, guard.name);
    end loop;
end
$$;
revoke all on procedure openpam.enable_always() from public;
call openpam.enable_always();

create or replace procedure openpam.audit_rows(relation regclass, key_column text, variadic hidden text[] default '{}')
    language plpgsql as $$
begin
    execute format(
        'create trigger audit_row_change after insert or update or delete on %s '
        'for each row execute function openpam.record_row_change(%s)',
        relation,
        (select string_agg(quote_literal(a), ', ') from unnest(array[key_column] || hidden) a));
    execute format('alter table %s enable always trigger audit_row_change', relation);
end
$$;
