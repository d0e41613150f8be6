-- events: facts for others. Each is written in the transaction of the act it tells of (an outbox), and delivered
-- afterwards: at least once to each subscriber, whatever crashes.

create table platform_events (
    event_id          uuid not null,
    tenant_id         uuid not null references tenants,
    event_type        text not null,
    source            text not null,
    subject           text,
    occurred_at       timestamptz not null default clock_timestamp(),
    correlation_id    text,
    schema_version    integer not null default 1,
    payload           jsonb not null,
    context           jsonb not null default '{}',
    ingested_by       uuid,
    dispatched_at     timestamptz,
    delivery_state    text not null default 'pending',
    delivery_attempts integer not null default 0,
    last_error        text,
    constraint platform_events_pkey primary key (event_id),
    constraint platform_events_tenant_key unique (tenant_id, event_id),
    constraint platform_events_type_form check (event_type ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' and octet_length(event_type) <= 128),
    constraint platform_events_source_form check (source ~ '^[!-~]+$' and octet_length(source) <= 200),
    constraint platform_events_subject_form check (subject ~ '^[!-~]+$' and octet_length(subject) <= 200),
    constraint platform_events_correlation_form check (correlation_id ~ '^[!-~]+$' and octet_length(correlation_id) <= 200),
    constraint platform_events_version check (schema_version > 0),
    constraint platform_events_payload check (jsonb_typeof(payload) = 'object' and octet_length(payload::text) <= 65536),
    constraint platform_events_context check (jsonb_typeof(context) = 'object' and octet_length(context::text) <= 8192),
    constraint platform_events_state check (delivery_state in ('pending', 'succeeded', 'failed')),
    constraint platform_events_done_is_dispatched check (delivery_state = 'pending' or dispatched_at is not null),
    constraint platform_events_attempts check (delivery_attempts >= 0),
    constraint platform_events_error_length check (length(last_error) <= 500)
);
comment on table platform_events is 'the outbox: facts for others, written with the acts they tell of';
comment on column platform_events.subject is 'what it is about, as collection/id';
comment on column platform_events.correlation_id is
    'the request that it comes from; for what others sent, their own text, under which a repeat finds the first';
comment on column platform_events.ingested_by is 'the principal who sent it; null for what the hub tells';
comment on column platform_events.dispatched_at is 'when each subscriber of that moment got its delivery';
comment on column platform_events.delivery_state is
    'pending: a delivery is not done; failed: one is a dead letter; succeeded: none is either';
create index platform_events_newest on platform_events (tenant_id, event_id desc);
create index platform_events_type on platform_events (tenant_id, event_type, event_id desc);
create index platform_events_source on platform_events (tenant_id, source, event_id desc);
create index platform_events_subject on platform_events (tenant_id, subject, event_id desc);
create index platform_events_open on platform_events (tenant_id, delivery_state, event_id desc) where delivery_state <> 'succeeded';
create index platform_events_new on platform_events (tenant_id, event_id) where dispatched_at is null;
create index platform_events_age on platform_events (occurred_at) where delivery_state <> 'pending';
create unique index platform_events_repeat on platform_events (tenant_id, ingested_by, source, event_type, correlation_id)
    where ingested_by is not null and correlation_id is not null;
call openpam.isolate_by_tenant('platform_events');

create table webhooks (
    webhook_id  uuid not null,
    tenant_id   uuid not null references tenants,
    name        text not null,
    description text not null default '',
    url         text not null,
    event_types text[] not null,
    enabled     boolean not null default true,
    vault_path  text not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint webhooks_pkey primary key (webhook_id),
    constraint webhooks_tenant_key unique (tenant_id, webhook_id),
    constraint webhooks_name_length check (length(name) between 1 and 200),
    constraint webhooks_description_length check (length(description) <= 2000),
    constraint webhooks_url_form check (url ~ '^https?://[!-~]+$' and octet_length(url) <= 2000),
    constraint webhooks_types check (cardinality(event_types) between 1 and 50)
);
comment on table webhooks is 'addresses that get events, signed with a secret that is in the vault';
comment on column webhooks.event_types is 'exact types, or prefixes that end with a dot and a star; a star for all';
create unique index webhooks_name_unique on webhooks (tenant_id, lower(name));
call openpam.isolate_by_tenant('webhooks');
create trigger webhooks_touch before update on webhooks for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('webhooks', 'webhook_id');

create table event_deliveries (
    delivery_id     uuid not null default gen_random_uuid(),
    tenant_id       uuid not null references tenants,
    event_id        uuid not null,
    subscriber      text not null,
    webhook_id      uuid,
    state           text not null default 'pending',
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    last_attempt_at timestamptz,
    last_status     integer,
    last_error      text,
    finished_at     timestamptz,
    constraint event_deliveries_pkey primary key (delivery_id),
    constraint event_deliveries_event foreign key (tenant_id, event_id)
        references platform_events (tenant_id, event_id) on delete cascade,
    constraint event_deliveries_webhook foreign key (tenant_id, webhook_id)
        references webhooks (tenant_id, webhook_id) on delete cascade,
    constraint event_deliveries_once unique nulls not distinct (event_id, subscriber, webhook_id),
    constraint event_deliveries_subscriber check (subscriber in ('webhook', 'nats', 'sns')),
    constraint event_deliveries_subscriber_webhook check ((subscriber = 'webhook') = (webhook_id is not null)),
    constraint event_deliveries_state check (state in ('pending', 'succeeded', 'failed')),
    constraint event_deliveries_finished check ((state = 'pending') = (finished_at is null)),
    constraint event_deliveries_attempts check (attempts >= 0),
    constraint event_deliveries_error_length check (length(last_error) <= 500)
);
comment on table event_deliveries is 'one event for one subscriber: so that one that is down holds up no other';
comment on column event_deliveries.next_attempt_at is 'while a hub works on it: when another may take it over';
comment on column event_deliveries.state is 'failed: a dead letter, which an administrator may replay';
-- What a subscriber waits for, without looking at what others wait for.
create index event_deliveries_due on event_deliveries
    (tenant_id, subscriber, (coalesce(webhook_id, '00000000-0000-0000-0000-000000000000')), next_attempt_at)
    where state = 'pending';
create index event_deliveries_failed on event_deliveries (tenant_id, webhook_id) where state = 'failed';
create index event_deliveries_webhook on event_deliveries (tenant_id, webhook_id, event_id desc);
call openpam.isolate_by_tenant('event_deliveries');

-- What was published stays as it was; only how far it was delivered changes.
create function openpam.platform_events_final() returns trigger
    language plpgsql as $$
begin
    if (new.event_id, new.tenant_id, new.event_type, new.source, new.subject, new.occurred_at, new.correlation_id,
        new.schema_version, new.payload, new.context, new.ingested_by)
        is distinct from
       (old.event_id, old.tenant_id, old.event_type, old.source, old.subject, old.occurred_at, old.correlation_id,
        old.schema_version, old.payload, old.context, old.ingested_by) then
        raise exception 'event % was published and cannot be changed', old.event_id
            using errcode = 'restrict_violation', constraint = 'platform_events_final';
    end if;
    return new;
end
$$;
create trigger platform_events_final before update on platform_events
    for each row execute function openpam.platform_events_final();

revoke all on platform_events, event_deliveries from openpam_app;
grant select, insert on platform_events, event_deliveries to openpam_app;
grant update (dispatched_at, delivery_state, delivery_attempts, last_error) on platform_events to openpam_app;
grant update (state, attempts, next_attempt_at, last_attempt_at, last_status, last_error, finished_at)
    on event_deliveries to openpam_app;

-- Hubs that listen dispatch at once, and tell their consoles: tenant, event, type, subject, whom it is about.
create function openpam.announce_event() returns trigger
    language plpgsql as $$
begin
    perform pg_notify('openpam_events', concat_ws(' ', new.tenant_id, new.event_id, new.event_type,
        coalesce(new.subject, '-'),
        coalesce(case when new.ingested_by is null then substring(new.payload ->> 'user_id' from '^[0-9a-f-]{36}$') end, '-')));
    return null;
end
$$;
revoke all on function openpam.announce_event(), openpam.platform_events_final() from public;
create trigger announce_event after insert on platform_events
    for each row execute function openpam.announce_event();

-- What follows looks across tenants, as its owner; with forced row-level security that needs policies.
create policy events_by_owner on platform_events for all to current_user using (true);
create policy events_by_owner on event_deliveries for select to current_user using (true);
create policy events_by_owner on webhooks for select to current_user using (true);

-- Tenants with events that have no deliveries yet.
create function openpam.events_new(most integer) returns setof uuid
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    select t.tenant_id from public.tenants t
    where exists (select from public.platform_events e where e.tenant_id = t.tenant_id and e.dispatched_at is null)
    order by t.tenant_id limit most;
end;

-- Subscribers with a delivery that is due. Where there are more, others each time.
create function openpam.deliveries_due(most integer) returns table (tenant_id uuid, subscriber text, webhook_id uuid)
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
begin atomic
    (select w.tenant_id, 'webhook'::text, w.webhook_id from public.webhooks w
     where w.enabled and exists (
        select from public.event_deliveries d
        where d.tenant_id = w.tenant_id and d.subscriber = 'webhook'
          and coalesce(d.webhook_id, '00000000-0000-0000-0000-000000000000') = w.webhook_id
          and d.state = 'pending' and d.next_attempt_at <= now())
     order by random() limit most)
    union all
    (select t.tenant_id, bus.name, null::uuid from public.tenants t, (values ('nats'), ('sns')) as bus (name)
     where exists (
        select from public.event_deliveries d
        where d.tenant_id = t.tenant_id and d.subscriber = bus.name
          and coalesce(d.webhook_id, '00000000-0000-0000-0000-000000000000') = '00000000-0000-0000-0000-000000000000'
          and d.state = 'pending' and d.next_attempt_at <= now())
     order by random() limit most);
end;

-- Removes events that are done and old, with their deliveries; how many.
create function openpam.forget_events(older_than interval, most integer) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    removed integer;
begin
    if older_than < interval '1 day' then
        raise exception 'events are kept for a day at least' using errcode = 'invalid_parameter_value';
    end if;
    delete from public.platform_events where event_id in (
        select e.event_id from public.platform_events e
        where e.occurred_at < now() - older_than and e.delivery_state <> 'pending'
        order by e.occurred_at limit most for update skip locked);
    get diagnostics removed = row_count;
    return removed;
end
$$;

revoke all on function openpam.events_new(integer), openpam.deliveries_due(integer),
    openpam.forget_events(interval, integer) from public;
grant execute on function openpam.events_new(integer), openpam.deliveries_due(integer),
    openpam.forget_events(interval, integer) to openpam_app;
