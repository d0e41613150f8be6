-- targets: networks, what is in them, and how their identity is known.

create table sites (
    site_id     uuid primary key,
    tenant_id   uuid not null references tenants,
    code        text not null,
    name        text not null,
    description text not null default '',
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint sites_tenant_key unique (tenant_id, site_id),
    constraint sites_code_unique unique (tenant_id, code),
    constraint sites_code_form check (code ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    constraint sites_name_length check (length(name) between 1 and 200)
);
comment on table sites is 'what an installer targets; its satellites serve its zones';
create unique index sites_name_unique on sites (tenant_id, lower(name));
call openpam.isolate_by_tenant('sites');
create trigger sites_touch before update on sites for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('sites', 'site_id');

create table zones (
    zone_id     uuid primary key,
    tenant_id   uuid not null references tenants,
    site_id     uuid,
    type        text not null,
    name        text not null,
    description text not null default '',
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint zones_tenant_key unique (tenant_id, zone_id),
    constraint zones_site foreign key (tenant_id, site_id) references sites (tenant_id, site_id),
    constraint zones_type check (type in ('hub', 'satellite')),
    constraint zones_site_by_type check ((type = 'satellite') = (site_id is not null)),
    constraint zones_name_length check (length(name) between 1 and 200)
);
comment on table zones is 'a network, reached by the hub directly or through the satellites of its site';
create unique index zones_name_unique on zones (tenant_id, lower(name));
call openpam.isolate_by_tenant('zones');
create trigger zones_touch before update on zones for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('zones', 'zone_id');

create table targets (
    target_id   uuid primary key,
    tenant_id   uuid not null references tenants,
    zone_id     uuid not null,
    name        text not null,
    description text not null default '',
    protocol    text not null,
    host        text not null,
    port        integer not null,
    environment text,
    tags        text[] not null default '{}',
    enabled     boolean not null default true,
    reason_required   boolean not null default false,
    host_key_policy   text not null default 'pinned',
    legacy_algorithms boolean not null default false,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint targets_tenant_key unique (tenant_id, target_id),
    constraint targets_zone foreign key (tenant_id, zone_id) references zones (tenant_id, zone_id),
    constraint targets_name_length check (length(name) between 1 and 200),
    constraint targets_description_length check (length(description) <= 2000),
    constraint targets_protocol check (protocol in ('ssh', 'rdp')),
    constraint targets_host_form check (length(host) between 1 and 253 and host !~ '[[:space:][:cntrl:]/@]'),
    constraint targets_port_range check (port between 1 and 65535),
    constraint targets_environment check (environment in ('production', 'staging', 'development')),
    constraint targets_tags_count check (cardinality(tags) <= 32),
    constraint targets_host_key_policy check (host_key_policy in ('pinned', 'host_ca'))
);
comment on table targets is 'host, port and protocol in a zone';
create unique index targets_name_unique on targets (tenant_id, lower(name));
create index targets_by_zone on targets (tenant_id, zone_id);
create index targets_search on targets using gin ((name || ' ' || host || ' ' || description) gin_trgm_ops);
call openpam.isolate_by_tenant('targets');
create trigger targets_touch before update on targets for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('targets', 'target_id');

create table target_access_groups (
    tenant_id  uuid not null references tenants,
    target_id  uuid not null,
    group_id   uuid not null,
    created_at timestamptz not null default now(),
    constraint target_access_groups_key primary key (target_id, group_id),
    constraint target_access_groups_target foreign key (tenant_id, target_id) references targets (tenant_id, target_id) on delete cascade,
    constraint target_access_groups_group foreign key (tenant_id, group_id) references groups (tenant_id, group_id) on delete cascade
);
comment on table target_access_groups is 'whose members may connect to the target';
create index target_access_groups_by_group on target_access_groups (tenant_id, group_id);
call openpam.isolate_by_tenant('target_access_groups');
call openpam.audit_rows('target_access_groups', 'target_id');

create table target_host_keys (
    host_key_id uuid primary key,
    tenant_id   uuid not null references tenants,
    target_id   uuid not null,
    kind        text not null,
    algorithm   text not null,
    public_key  text not null,
    fingerprint text not null,
    trusted_by  uuid,
    trusted_by_name text not null,
    trusted_at  timestamptz not null default now(),
    constraint target_host_keys_target foreign key (tenant_id, target_id) references targets (tenant_id, target_id) on delete cascade,
    constraint target_host_keys_kind check (kind in ('host', 'ca')),
    constraint target_host_keys_unique unique (target_id, kind, fingerprint)
);
comment on table target_host_keys is 'SSH host keys an admin trusted by an explicit act; nothing else is ever trusted';
comment on column target_host_keys.public_key is 'OpenSSH public key line without comment';
comment on column target_host_keys.fingerprint is 'SHA256:… as ssh-keygen -l prints it';
create index target_host_keys_by_target on target_host_keys (tenant_id, target_id);
call openpam.isolate_by_tenant('target_host_keys');
call openpam.audit_rows('target_host_keys', 'host_key_id');

create table favorite_targets (
    tenant_id  uuid not null references tenants,
    user_id    uuid not null,
    target_id  uuid not null,
    created_at timestamptz not null default now(),
    constraint favorite_targets_key primary key (user_id, target_id),
    constraint favorite_targets_user foreign key (tenant_id, user_id) references users (tenant_id, user_id) on delete cascade,
    constraint favorite_targets_target foreign key (tenant_id, target_id) references targets (tenant_id, target_id) on delete cascade
);
call openpam.isolate_by_tenant('favorite_targets');
