-- Row-level security settings and helpers that every later table builds on.
--
-- The application role (`openpam_app`) owns nothing and has no BYPASSRLS. Each
-- transaction names its tenant, actor and request with set_config(…, true);
-- the helpers below read them. An unset tenant sees no row at all.

create extension if not exists pg_trgm;
create extension if not exists btree_gist;

create schema if not exists openpam;

do $$
begin
    if not exists (select from pg_roles where rolname = 'openpam_app') then
        create role openpam_app login nosuperuser nobypassrls nocreatedb nocreaterole;
    end if;
exception when insufficient_privilege or duplicate_object or unique_violation then
    if not exists (select from pg_roles where rolname = 'openpam_app') then
        raise exception 'the role openpam_app does not exist and this user may not create it';
    end if;
end
$$;

grant usage on schema openpam, public to openpam_app;
alter default privileges in schema public grant select, insert, update, delete on tables to openpam_app;

create function openpam.current_tenant() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('openpam.tenant_id', true), '')::uuid;
comment on function openpam.current_tenant() is 'tenant of this transaction; null (no row visible) when unset';

create function openpam.current_actor() returns text
    language sql stable parallel safe
    return nullif(current_setting('openpam.actor', true), '');
comment on function openpam.current_actor() is 'who acts in this transaction, as type:id; null for a change by hand';

create function openpam.current_request() returns text
    language sql stable parallel safe
    return nullif(current_setting('openpam.request_id', true), '');

create function openpam.touch_updated_at() returns trigger
    language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;

create function openpam.refuse_change() returns trigger
    language plpgsql as $$
begin
    raise exception 'rows of % cannot be changed or removed', tg_table_name
        using errcode = 'restrict_violation', constraint = tg_table_name || '_append_only';
end
$$;

-- Gives a table the tenant policy: forced, for every command, both ways.
create procedure openpam.isolate_by_tenant(relation regclass)
    language plpgsql as $$
begin
    execute format('alter table %s enable row level security', relation);
    execute format('alter table %s force row level security', relation);
    execute format(
        'create policy tenant_isolation on %s using (tenant_id = openpam.current_tenant()) '
        'with check (tenant_id = openpam.current_tenant())', relation);
end
$$;

create table tenants (
    tenant_id    uuid primary key,
    slug         text not null,
    name         text not null,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    constraint tenants_slug_unique unique (slug),
    constraint tenants_slug_form check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint tenants_name_length check (length(name) between 1 and 200)
);
comment on table tenants is 'the boundary of isolation; every other row names one';
call openpam.isolate_by_tenant('tenants');
create trigger tenants_touch before update on tenants
    for each row execute function openpam.touch_updated_at();

-- A sign-in names its tenant by slug before any tenant is set: this function
-- answers just that, as its owner. With forced row-level security the owner
-- needs a policy of its own.
create policy tenant_lookup_by_owner on tenants for select to current_user using (true);

create function openpam.tenant_by_slug(wanted text) returns uuid
    language sql stable security definer set search_path = pg_catalog, public
    return (select tenant_id from public.tenants where slug = wanted);

create function openpam.tenant_ids() returns setof uuid
    language sql stable security definer set search_path = pg_catalog, public
begin atomic
    select tenant_id from public.tenants order by tenant_id;
end;
comment on function openpam.tenant_ids() is 'for reconcilers that visit every tenant, one transaction each';
revoke all on function openpam.tenant_by_slug(text), openpam.tenant_ids() from public;
grant execute on function openpam.tenant_by_slug(text), openpam.tenant_ids() to openpam_app;
revoke insert, update, delete on tenants from openpam_app;
