-- ledger: each tenant's events and row changes in order, as the leaves of a Merkle tree, and the signed heads
-- of it. docs/decisions/ledger.md says why it is so, common/ledger/FORMAT.md what the bytes are.

-- 32 bytes with 244 random bits, of the cluster's strong random source.
create function openpam.salt() returns bytea
    language sql volatile parallel safe
    return uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

-- Rows that are there get this migration's transaction, and are sequenced first.
alter table audit_events
    add column xid xid8 not null default pg_current_xact_id(),
    add column salts bytea default openpam.salt() || openpam.salt() || openpam.salt() || openpam.salt(),
    add column erased_at timestamptz,
    add constraint audit_events_salts check ((salts is null) = (erased_at is not null)),
    add constraint audit_events_salts_size check (octet_length(salts) = 128),
    -- What an entry of the ledger can say: a row that it cannot would hold up its tenant's log.
    add constraint audit_events_action_length check (octet_length(action) <= 128),
    add constraint audit_events_object_type_form
        check (object_type ~ '^[a-z_][a-z0-9_]*$' and octet_length(object_type) <= 128),
    add constraint audit_events_object_type_given check (object_id is null or object_type is not null),
    add constraint audit_events_request_id_length check (octet_length(request_id) <= 256),
    add constraint audit_events_occurred_at_range
        check (occurred_at >= '1970-01-01 00:00:00Z' and occurred_at < '9999-01-01 00:00:00Z');
comment on column audit_events.xid is 'the transaction it was written in: tells the ledger what it has not seen yet';
comment on column audit_events.salts is
    'salts of the digests of actor_name, object_name, client_ip and detail; null once these are erased';
alter table row_changes
    add column xid xid8 not null default pg_current_xact_id(),
    add column salts bytea default openpam.salt() || openpam.salt() || openpam.salt(),
    add column erased_at timestamptz,
    add constraint row_changes_salts check ((salts is null) = (erased_at is not null)),
    add constraint row_changes_salts_size check (octet_length(salts) = 96),
    add constraint row_changes_row_id_length check (octet_length(row_id) <= 1024),
    add constraint row_changes_request_id_length check (octet_length(request_id) <= 256),
    add constraint row_changes_table_name_form check (table_name ~ '^[a-z_][a-z0-9_]*$'),
    add constraint row_changes_occurred_at_range
        check (occurred_at >= '1970-01-01 00:00:00Z' and occurred_at < '9999-01-01 00:00:00Z');
comment on column row_changes.salts is
    'salts of the digests of before_image, after_image and database_user; null once these are erased';
create index audit_events_xid on audit_events (xid, audit_event_id);
create index row_changes_xid on row_changes (xid, row_change_id);
-- Not the application's to choose.
revoke insert on audit_events from openpam_app;
grant insert (audit_event_id, tenant_id, occurred_at, actor_type, actor_id, actor_name, action, outcome, object_type,
              object_id, object_name, request_id, client_ip, detail) on audit_events to openpam_app;

create table ledger_entries (
    tenant_id    uuid not null references tenants,
    seq          bigint not null,
    event_id     uuid not null,
    kind         smallint not null,
    canonical    bytea not null,
    leaf_hash    bytea not null,
    sequenced_at timestamptz not null default clock_timestamp(),
    constraint ledger_entries_pkey primary key (tenant_id, seq),
    -- By kind: an event may have a row change's id.
    constraint ledger_entries_once unique (tenant_id, event_id, kind),
    constraint ledger_entries_seq check (seq >= 0),
    constraint ledger_entries_kind check (kind in (1, 2)),
    constraint ledger_entries_size check (octet_length(canonical) between 89 and 1853),
    constraint ledger_entries_leaf check (leaf_hash = sha256('\x00'::bytea || canonical))
);
comment on table ledger_entries is 'the leaves of the tenants'' trees, in order and without holes';
comment on column ledger_entries.event_id is 'the audit event (kind 1) or the row change (kind 2)';

create table ledger_tiles (
    tenant_id uuid not null references tenants,
    level     smallint not null,
    index     bigint not null,
    hashes    bytea not null,
    root      bytea not null,
    constraint ledger_tiles_pkey primary key (tenant_id, level, index),
    constraint ledger_tiles_place check (level between 0 and 7 and index >= 0),
    constraint ledger_tiles_size check (octet_length(hashes) = 8192 and octet_length(root) = 32)
);
comment on table ledger_tiles is 'nodes of the trees, 256 neighbouring ones in a row';

create table ledger_checkpoints (
    tenant_id uuid not null references tenants,
    size      bigint not null,
    root      bytea not null,
    note      text not null,
    signed_at timestamptz not null default clock_timestamp(),
    constraint ledger_checkpoints_pkey primary key (tenant_id, size),
    constraint ledger_checkpoints_size check (size > 0 and octet_length(root) = 32 and octet_length(note) <= 131072)
);
comment on table ledger_checkpoints is 'signed heads of the tenants'' trees (C2SP tlog-checkpoint)';

create table ledger_heads (
    tenant_id uuid not null references tenants,
    size      bigint not null,
    frontier  bytea not null,
    constraint ledger_heads_pkey primary key (tenant_id),
    constraint ledger_heads_size check (size >= 0)
);
comment on table ledger_heads is 'how far each tenant''s tree goes: the one table of the ledger that is updated';

call openpam.isolate_by_tenant('ledger_entries');
call openpam.isolate_by_tenant('ledger_tiles');
call openpam.isolate_by_tenant('ledger_checkpoints');
call openpam.isolate_by_tenant('ledger_heads');
revoke update, delete on ledger_entries, ledger_tiles, ledger_checkpoints from openpam_app;
revoke delete on ledger_heads from openpam_app;
create trigger ledger_entries_append_only before update or delete or truncate on ledger_entries
    for each statement execute function openpam.refuse_change();
create trigger ledger_tiles_append_only before update or delete or truncate on ledger_tiles
    for each statement execute function openpam.refuse_change();
create trigger ledger_checkpoints_append_only before update or delete or truncate on ledger_checkpoints
    for each statement execute function openpam.refuse_change();

-- A head only moves on.
create function openpam.ledger_heads_grow() returns trigger
    language plpgsql as $$
begin
    if new.tenant_id <> old.tenant_id or new.size < old.size then
        raise exception 'the ledger of % cannot shrink from % to %', old.tenant_id, old.size, new.size
            using errcode = 'restrict_violation', constraint = 'ledger_heads_grow';
    end if;
    return new;
end
$$;
create trigger ledger_heads_grow before update on ledger_heads
    for each row execute function openpam.ledger_heads_grow();

-- Of no tenant. The application reaches them through the functions below.
create table ledger_leader (
    only_one  boolean not null default true,
    epoch     bigint not null default 0,
    holder    uuid,
    since     timestamptz,
    seen_at   timestamptz not null default 'epoch',
    watermark pg_snapshot not null default '1:1:',
    name      text,
    constraint ledger_leader_pkey primary key (only_one),
    constraint ledger_leader_only_one check (only_one)
);
comment on table ledger_leader is 'which hub sequences, and what it has seen';
comment on column ledger_leader.epoch is 'raised by each new leader: whoever has an older one is refused';
comment on column ledger_leader.watermark is 'all that this snapshot sees has its place';
comment on column ledger_leader.name is 'the ledger''s name, which its checkpoints begin with; never changed';
insert into ledger_leader default values;

create table ledger_keys (
    ledger_key_id uuid not null,
    public_key    bytea not null,
    vault_path    text not null,
    created_at    timestamptz not null default clock_timestamp(),
    retired_at    timestamptz,
    constraint ledger_keys_pkey primary key (ledger_key_id),
    constraint ledger_keys_public_once unique (public_key),
    constraint ledger_keys_size check (octet_length(public_key) = 32)
);
comment on table ledger_keys is 'public keys that sign checkpoints (Ed25519); the private ones are in the vault';
create unique index ledger_keys_current on ledger_keys ((true)) where retired_at is null;

create table ledger_system_leaves (
    seq       bigint not null,
    tenant_id uuid not null references tenants,
    size      bigint not null,
    text      text not null,
    constraint ledger_system_leaves_pkey primary key (seq),
    constraint ledger_system_leaves_once unique (tenant_id, size),
    constraint ledger_system_leaves_seq check (seq >= 0)
);
comment on table ledger_system_leaves is 'the leaves of the system''s tree: texts of the tenants'' checkpoints';

create table ledger_system_tiles (
    level  smallint not null,
    index  bigint not null,
    hashes bytea not null,
    root   bytea not null,
    constraint ledger_system_tiles_pkey primary key (level, index),
    constraint ledger_system_tiles_size check (octet_length(hashes) = 8192 and octet_length(root) = 32)
);

create table ledger_system_checkpoints (
    size      bigint not null,
    root      bytea not null,
    frontier  bytea not null,
    note      text not null,
    signed_at timestamptz not null default clock_timestamp(),
    constraint ledger_system_checkpoints_pkey primary key (size),
    constraint ledger_system_checkpoints_size check (size > 0 and octet_length(root) = 32)
);
comment on table ledger_system_checkpoints is 'signed heads of the system''s tree';

create table ledger_anchors (
    name   text not null,
    origin text not null,
    size   bigint not null,
    at     timestamptz not null default clock_timestamp(),
    constraint ledger_anchors_pkey primary key (name, origin)
);
comment on table ledger_anchors is 'the largest checkpoint of each log that an anchor has accepted';

revoke all on ledger_leader, ledger_keys, ledger_system_leaves, ledger_system_tiles, ledger_system_checkpoints,
    ledger_anchors from openpam_app;
grant select on ledger_keys, ledger_system_tiles, ledger_system_checkpoints, ledger_anchors to openpam_app;
grant insert on ledger_system_leaves, ledger_system_tiles, ledger_system_checkpoints, ledger_keys to openpam_app;
grant insert, update on ledger_anchors to openpam_app;
create trigger ledger_system_leaves_append_only before update or delete or truncate on ledger_system_leaves
    for each statement execute function openpam.refuse_change();
create trigger ledger_system_tiles_append_only before update or delete or truncate on ledger_system_tiles
    for each statement execute function openpam.refuse_change();
create trigger ledger_system_checkpoints_append_only before update or delete or truncate on ledger_system_checkpoints
    for each statement execute function openpam.refuse_change();
-- A text says which tenants there are: each sees its own.
alter table ledger_system_leaves enable row level security;
alter table ledger_system_leaves force row level security;
grant select on ledger_system_leaves to openpam_app;
create policy tenant_reads on ledger_system_leaves for select to openpam_app
    using (tenant_id = openpam.current_tenant());
create policy leader_writes on ledger_system_leaves for insert to openpam_app with check (true);

-- What follows reads across tenants, as its owner; with forced row-level security that needs policies.
create policy ledger_by_owner on audit_events for select to current_user using (true);
create policy ledger_by_owner on row_changes for select to current_user using (true);
create policy ledger_by_owner on ledger_entries for select to current_user using (true);
create policy ledger_by_owner on ledger_heads for select to current_user using (true);
create policy ledger_by_owner on ledger_checkpoints for select to current_user using (true);
create policy ledger_by_owner on ledger_system_leaves for select to current_user using (true);

-- Leads: by right of the lock, or because the leader has been silent for so long. The epoch, or nothing.
create function openpam.ledger_lead(candidate uuid, has_lock boolean, silence interval, wanted_name text)
    returns table (epoch bigint, name text)
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    update public.ledger_leader l
    set epoch = l.epoch + 1, holder = candidate, since = clock_timestamp(), seen_at = clock_timestamp(),
        name = coalesce(l.name, wanted_name)
    where has_lock or l.seen_at < clock_timestamp() - silence
    returning l.epoch, l.name;
end;

-- Begins each transaction of the leader, and fails where another leads. Whoever wants to lead waits for its end.
create function openpam.ledger_fence(own_epoch bigint) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    leader public.ledger_leader;
begin
    select * into leader from public.ledger_leader for update;
    if leader.epoch is distinct from own_epoch then
        raise exception 'epoch % was ended by epoch %', own_epoch, leader.epoch
            using errcode = 'object_not_in_prerequisite_state', constraint = 'ledger_fence';
    end if;
    if leader.seen_at < clock_timestamp() - interval '1 second' then
        update public.ledger_leader set seen_at = clock_timestamp();
    end if;
end
$$;

create function openpam.ledger_watermark() returns text
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
    return (select watermark::text from public.ledger_leader);

create function openpam.ledger_set_watermark(own_epoch bigint, seen text) returns void
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    update public.ledger_leader set watermark = seen::pg_snapshot where epoch = own_epoch;
end;

-- The events that `seen` did not see and `until` does, behind a place, in the order of their transactions.
create function openpam.ledger_new_events(seen text, until text, after_xid bigint, after_id uuid, most integer)
    returns table (xid bigint, event_id uuid, tenant_id uuid, occurred_us bigint, actor_type text, actor_id uuid,
                   actor_name text, action text, outcome text, object_type text, object_id uuid, object_name text,
                   request_id text, client_address text, detail text, salts bytea)
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    old pg_snapshot := seen::pg_snapshot;
    new pg_snapshot := until::pg_snapshot;
    behind xid8 := after_xid::text::xid8;
begin
    return query
    with fresh as (
        (select e.* from public.audit_events e
         where e.xid >= pg_snapshot_xmax(old) and (e.xid, e.audit_event_id) > (behind, after_id)
           and pg_visible_in_snapshot(e.xid, new)
           and not exists (select from public.ledger_entries l
                           where l.tenant_id = e.tenant_id and l.event_id = e.audit_event_id and l.kind = 1)
         order by e.xid, e.audit_event_id limit most)
        union all
        (select e.* from pg_snapshot_xip(old) x cross join lateral (
            -- What has its place must not count towards the limit: nobody would come back for the rest.
            select * from public.audit_events a
            where a.xid = x and (a.xid, a.audit_event_id) > (behind, after_id)
              and pg_visible_in_snapshot(a.xid, new)
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

create function openpam.ledger_new_changes(seen text, until text, after_xid bigint, after_id uuid, most integer)
    returns table (xid bigint, event_id uuid, tenant_id uuid, occurred_us bigint, table_name text, operation text,
                   row_id text, before_image text, after_image text, actor text, request_id text, database_user text,
                   salts bytea)
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    old pg_snapshot := seen::pg_snapshot;
    new pg_snapshot := until::pg_snapshot;
    behind xid8 := after_xid::text::xid8;
begin
    return query
    with fresh as (
        (select c.* from public.row_changes c
         where c.xid >= pg_snapshot_xmax(old) and (c.xid, c.row_change_id) > (behind, after_id)
           and pg_visible_in_snapshot(c.xid, new)
           and not exists (select from public.ledger_entries l
                           where l.tenant_id = c.tenant_id and l.event_id = c.row_change_id and l.kind = 2)
         order by c.xid, c.row_change_id limit most)
        union all
        (select c.* from pg_snapshot_xip(old) x cross join lateral (
            select * from public.row_changes r
            where r.xid = x and (r.xid, r.row_change_id) > (behind, after_id)
              and pg_visible_in_snapshot(r.xid, new)
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

-- The heads that are larger than their tenants' last checkpoints.
create function openpam.ledger_unsigned() returns table (tenant_id uuid, size bigint, frontier bytea)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id, h.size, h.frontier from public.ledger_heads h
    where h.size > coalesce((select max(c.size) from public.ledger_checkpoints c where c.tenant_id = h.tenant_id), 0)
    order by h.tenant_id;
end;

-- How the ledger fares: for how long the oldest entry has waited for a checkpoint, for how long the leader was
-- not heard of, how many entries there are, and how many places a checkpoint speaks for.
create function openpam.ledger_state()
    returns table (holder uuid, epoch bigint, silence double precision, lag double precision, entries bigint)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select l.holder, l.epoch, extract(epoch from clock_timestamp() - l.seen_at)::double precision,
           coalesce((select max(extract(epoch from clock_timestamp() - e.sequenced_at))::double precision
                     from public.ledger_heads h
                     join public.ledger_entries e on e.tenant_id = h.tenant_id
                      and e.seq = coalesce((select max(c.size) from public.ledger_checkpoints c
                                            where c.tenant_id = h.tenant_id), 0)), 0),
           coalesce((select sum(h.size) from public.ledger_heads h), 0)::bigint
    from public.ledger_leader l;
end;

create function openpam.ledger_name() returns text
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
    return (select name from public.ledger_leader);

-- The last checkpoint of each log; of the system's the tenant is null.
create function openpam.ledger_latest() returns table (tenant_id uuid, size bigint, note text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select h.tenant_id, c.size, c.note from public.ledger_heads h
    cross join lateral (select k.size, k.note from public.ledger_checkpoints k
                        where k.tenant_id = h.tenant_id order by k.size desc limit 1) c
    union all
    (select null, s.size, s.note from public.ledger_system_checkpoints s order by s.size desc limit 1);
end;

-- The system's leaves in a range, for who verifies the installation.
create function openpam.ledger_system_range(first bigint, most integer)
    returns table (seq bigint, tenant_id uuid, size bigint, text text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select s.seq, s.tenant_id, s.size, s.text from public.ledger_system_leaves s where s.seq >= first
    order by s.seq limit most;
end;

revoke all on function openpam.ledger_lead(uuid, boolean, interval, text), openpam.ledger_fence(bigint),
    openpam.ledger_watermark(), openpam.ledger_set_watermark(bigint, text),
    openpam.ledger_new_events(text, text, bigint, uuid, integer),
    openpam.ledger_new_changes(text, text, bigint, uuid, integer), openpam.ledger_unsigned(), openpam.ledger_state(),
    openpam.ledger_name(), openpam.ledger_latest(), openpam.ledger_system_range(bigint, integer) from public;
grant execute on function openpam.ledger_lead(uuid, boolean, interval, text), openpam.ledger_fence(bigint),
    openpam.ledger_watermark(), openpam.ledger_set_watermark(bigint, text),
    openpam.ledger_new_events(text, text, bigint, uuid, integer),
    openpam.ledger_new_changes(text, text, bigint, uuid, integer), openpam.ledger_unsigned(), openpam.ledger_state(),
    openpam.ledger_name(), openpam.ledger_latest(), openpam.ledger_system_range(bigint, integer) to openpam_app;
