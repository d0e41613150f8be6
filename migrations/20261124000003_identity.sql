-- identity: people, groups, service accounts, their ways to sign in.

create table users (
    user_id       uuid primary key,
    tenant_id     uuid not null references tenants,
    source        text not null,
    external_id   text,
    username      text not null,
    display_name  text not null,
    email         text,
    enabled       boolean not null default true,
    roles         text[] not null default '{}',
    password_hash text,
    oidc_groups_overage boolean not null default false,
    last_login_at timestamptz,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    constraint users_tenant_key unique (tenant_id, user_id),
    constraint users_source check (source in ('local', 'oidc', 'ldap')),
    constraint users_username_length check (length(username) between 1 and 200),
    constraint users_display_name_length check (length(display_name) between 1 and 200),
    constraint users_roles_known check (roles <@ array['admin', 'operator', 'auditor']),
    constraint users_external_id_by_source check ((source = 'local') = (external_id is null)),
    constraint users_password_only_local check (source = 'local' or password_hash is null)
);
comment on table users is 'a person, from the directory or local';
comment on column users.external_id is 'stable key at the source: oid for Entra ID, sub elsewhere; never the user name';
comment on column users.roles is 'roles given to the person directly; those of groups come on top';
comment on column users.password_hash is 'Argon2id, PHC string; local accounts only';
create unique index users_username_unique on users (tenant_id, source, lower(username));
create unique index users_external_id_unique on users (tenant_id, source, external_id) where external_id is not null;
call openpam.isolate_by_tenant('users');
create trigger users_touch before update on users for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('users', 'user_id', 'password_hash', 'last_login_at');

create table groups (
    group_id    uuid primary key,
    tenant_id   uuid not null references tenants,
    source      text not null,
    external_id text,
    name        text not null,
    description text not null default '',
    roles       text[] not null default '{}',
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint groups_tenant_key unique (tenant_id, group_id),
    constraint groups_source check (source in ('local', 'oidc', 'ldap')),
    constraint groups_name_length check (length(name) between 1 and 200),
    constraint groups_roles_known check (roles <@ array['admin', 'operator', 'auditor']),
    constraint groups_external_id_by_source check ((source = 'local') = (external_id is null)),
    constraint groups_roles_only_local check (source = 'local' or roles = '{}')
);
comment on table groups is 'a set of people; roles of directory groups are mapped by configuration, not stored';
create unique index groups_name_unique on groups (tenant_id, lower(name));
create unique index groups_external_id_unique on groups (tenant_id, source, external_id) where external_id is not null;
call openpam.isolate_by_tenant('groups');
create trigger groups_touch before update on groups for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('groups', 'group_id');

create table group_memberships (
    tenant_id  uuid not null references tenants,
    group_id   uuid not null,
    user_id    uuid not null,
    created_at timestamptz not null default now(),
    constraint group_memberships_key primary key (group_id, user_id),
    constraint group_memberships_group foreign key (tenant_id, group_id) references groups (tenant_id, group_id) on delete cascade,
    constraint group_memberships_user foreign key (tenant_id, user_id) references users (tenant_id, user_id) on delete cascade
);
create index group_memberships_by_user on group_memberships (tenant_id, user_id);
call openpam.isolate_by_tenant('group_memberships');
call openpam.audit_rows('group_memberships', 'group_id');

create table service_accounts (
    service_account_id uuid primary key,
    tenant_id   uuid not null references tenants,
    name        text not null,
    description text not null default '',
    enabled     boolean not null default true,
    roles       text[] not null default '{}',
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint service_accounts_tenant_key unique (tenant_id, service_account_id),
    constraint service_accounts_name_length check (length(name) between 1 and 200),
    constraint service_accounts_roles_known check (roles <@ array['admin', 'operator', 'auditor'])
);
create unique index service_accounts_name_unique on service_accounts (tenant_id, lower(name));
call openpam.isolate_by_tenant('service_accounts');
create trigger service_accounts_touch before update on service_accounts for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('service_accounts', 'service_account_id');

create table api_tokens (
    api_token_id uuid primary key,
    tenant_id    uuid not null references tenants,
    service_account_id uuid not null,
    name         text not null,
    prefix       text not null,
    token_hash   bytea not null,
    scopes       text[] not null default '{}',
    expires_at   timestamptz not null,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    created_at   timestamptz not null default now(),
    constraint api_tokens_service_account foreign key (tenant_id, service_account_id)
        references service_accounts (tenant_id, service_account_id) on delete cascade,
    constraint api_tokens_hash_length check (length(token_hash) = 32),
    constraint api_tokens_hash_unique unique (token_hash),
    constraint api_tokens_name_length check (length(name) between 1 and 200)
);
comment on column api_tokens.token_hash is 'SHA-256 of the whole token; the token has 256 random bits, so no salt is needed';
comment on column api_tokens.scopes is 'permissions the token is limited to; empty means all of the account';
create index api_tokens_by_account on api_tokens (tenant_id, service_account_id);
call openpam.isolate_by_tenant('api_tokens');
call openpam.audit_rows('api_tokens', 'api_token_id', 'token_hash', 'last_used_at');

create table auth_sessions (
    auth_session_id uuid primary key,
    tenant_id       uuid not null references tenants,
    user_id         uuid not null,
    secret_hash     bytea not null,
    previous_secret_hash bytea,
    rotated_at      timestamptz,
    provider_session text,
    client_ip       inet,
    user_agent      text not null default '',
    created_at      timestamptz not null default now(),
    last_seen_at    timestamptz not null default now(),
    expires_at      timestamptz not null,
    revoked_at      timestamptz,
    constraint auth_sessions_user foreign key (tenant_id, user_id) references users (tenant_id, user_id) on delete cascade,
    constraint auth_sessions_hash_length check (length(secret_hash) = 32),
    constraint auth_sessions_user_agent_length check (length(user_agent) <= 400)
);
comment on table auth_sessions is 'a browser that is signed in; the cookie holds the secret, this row its SHA-256';
create index auth_sessions_by_user on auth_sessions (tenant_id, user_id, created_at desc);
create index auth_sessions_by_expiry on auth_sessions (tenant_id, expires_at);
call openpam.isolate_by_tenant('auth_sessions');
call openpam.audit_rows('auth_sessions', 'auth_session_id', 'secret_hash', 'previous_secret_hash', 'last_seen_at', 'rotated_at');

create table oidc_flows (
    oidc_flow_id  uuid primary key,
    tenant_id     uuid not null references tenants,
    state_hash    bytea not null,
    binding_hash  bytea not null,
    return_to     text not null,
    created_at    timestamptz not null default now(),
    expires_at    timestamptz not null,
    constraint oidc_flows_state_unique unique (tenant_id, state_hash),
    constraint oidc_flows_return_to_local check (return_to ~ '^/([^/\\]|$)' and length(return_to) <= 2000)
);
comment on table oidc_flows is 'a sign-in under way at the provider; taken (deleted) exactly once by its state; nonce and PKCE verifier derive from the secret in the browser''s flow cookie';
create index oidc_flows_by_expiry on oidc_flows (tenant_id, expires_at);
call openpam.isolate_by_tenant('oidc_flows');

create table login_failures (
    tenant_id    uuid not null references tenants,
    account_key  text not null,
    failures     integer not null,
    window_start timestamptz not null,
    locked_until timestamptz,
    constraint login_failures_key primary key (tenant_id, account_key),
    constraint login_failures_count check (failures >= 0)
);
comment on table login_failures is 'failed sign-ins per account name, whether the account exists or not';
comment on column login_failures.account_key is 'SHA-256 of the lower-case account name, hex: what was typed may be a password';
call openpam.isolate_by_tenant('login_failures');

create table user_preferences (
    tenant_id   uuid not null references tenants,
    user_id     uuid not null,
    preferences jsonb not null default '{}',
    updated_at  timestamptz not null default now(),
    constraint user_preferences_key primary key (user_id),
    constraint user_preferences_user foreign key (tenant_id, user_id) references users (tenant_id, user_id) on delete cascade,
    constraint user_preferences_object check (jsonb_typeof(preferences) = 'object'),
    constraint user_preferences_size check (pg_column_size(preferences) <= 16384)
);
call openpam.isolate_by_tenant('user_preferences');

create table idempotency_keys (
    tenant_id       uuid not null references tenants,
    principal_id    uuid not null,
    idempotency_key text not null,
    request_hash    bytea not null,
    status          smallint,
    response        jsonb,
    created_at      timestamptz not null default now(),
    constraint idempotency_keys_key primary key (tenant_id, principal_id, idempotency_key),
    constraint idempotency_keys_length check (length(idempotency_key) between 1 and 200)
);
comment on table idempotency_keys is 'answers of POST requests that carried an Idempotency-Key, kept for a day';
create index idempotency_keys_by_age on idempotency_keys (tenant_id, created_at);
call openpam.isolate_by_tenant('idempotency_keys');
