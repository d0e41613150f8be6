-- audit: who did what, when, on what, with which outcome; and every row change
-- with its images. INSERT only for the application; nobody updates or deletes.

create table audit_events (
    audit_event_id uuid primary key,
    tenant_id      uuid not null references tenants,
    occurred_at    timestamptz not null default clock_timestamp(),
    actor_type     text not null,
    actor_id       uuid,
    actor_name     text not null,
    action         text not null,
    outcome        text not null,
    object_type    text,
    object_id      uuid,
    object_name    text,
    request_id     text,
    client_ip      inet,
    detail         jsonb not null default '{}',
    constraint audit_events_actor_type check (actor_type in ('user', 'service_account', 'system', 'anonymous')),
    constraint audit_events_action_form check (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    constraint audit_events_outcome check (outcome in ('success', 'denied', 'failure')),
    constraint audit_events_detail_object check (jsonb_typeof(detail) = 'object'),
    constraint audit_events_detail_size check (pg_column_size(detail) <= 65536)
);
comment on table audit_events is 'append-only record of acts and decisions; sequenced and proven by the ledger';
create index audit_events_newest on audit_events (tenant_id, audit_event_id desc);
create index audit_events_object on audit_events (tenant_id, object_id, audit_event_id desc);
create index audit_events_actor on audit_events (tenant_id, actor_id, audit_event_id desc);
create index audit_events_action on audit_events (tenant_id, action, audit_event_id desc);
call openpam.isolate_by_tenant('audit_events');
create trigger audit_events_append_only before update or delete or truncate on audit_events
    for each statement execute function openpam.refuse_change();

create table row_changes (
    row_change_id uuid primary key default gen_random_uuid(),
    tenant_id     uuid not null,
    occurred_at   timestamptz not null default clock_timestamp(),
    table_name    text not null,
    operation     text not null,
    row_id        text not null,
    before_image  jsonb,
    after_image   jsonb,
    actor         text,
    request_id    text,
    database_user text not null default session_user,
    constraint row_changes_operation check (operation in ('insert', 'update', 'delete'))
);
comment on table row_changes is 'before and after images of every changed row, a change by hand in psql included';
create index row_changes_row on row_changes (tenant_id, table_name, row_id, occurred_at desc);
call openpam.isolate_by_tenant('row_changes');
create trigger row_changes_append_only before update or delete or truncate on row_changes
    for each statement execute function openpam.refuse_change();

-- Trigger arguments: the primary key column, then columns to leave out
-- (secrets and their hashes, or counters that change with every byte).
create function openpam.record_row_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, public, openpam as $$
declare
    before_row jsonb := case when tg_op = 'INSERT' then null else to_jsonb(old) end;
    after_row  jsonb := case when tg_op = 'DELETE' then null else to_jsonb(new) end;
    hidden     text[] := tg_argv[1:];
    tenant     uuid := (coalesce(after_row, before_row) ->> 'tenant_id')::uuid;
    tenant_before text := current_setting('openpam.tenant_id', true);
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
            before_row, after_row, openpam.current_actor(), openpam.current_request());
    perform set_config('openpam.tenant_id', coalesce(tenant_before, ''), true);
    return null;
end
$$;

create procedure openpam.audit_rows(relation regclass, key_column text, variadic hidden text[] default '{}')
    language plpgsql as $$
begin
    execute format(
        'create trigger audit_row_change after insert or update or delete on %s '
        'for each row execute function openpam.record_row_change(%s)',
        relation,
        (select string_agg(quote_literal(a), ', ') from unnest(array[key_column] || hidden) a));
end
$$;

call openpam.audit_rows('tenants', 'tenant_id');
revoke update, delete on audit_events from openpam_app;
revoke insert, update, delete on row_changes from openpam_app;
revoke all on function openpam.record_row_change() from public;
