-- vault: how to log in to a target. Only references; the secret stays in the vault.

create table credentials (
    credential_id uuid primary key,
    tenant_id     uuid not null references tenants,
    name          text not null,
    description   text not null default '',
    kind          text not null,
    username      text not null,
    vault_path    text,
    vault_version integer,
    ssh_role      text,
    managed       boolean not null default false,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    constraint credentials_tenant_key unique (tenant_id, credential_id),
    constraint credentials_name_length check (length(name) between 1 and 200),
    constraint credentials_kind check (kind in ('password', 'private_key', 'ssh_ca')),
    constraint credentials_username_form check (length(username) between 1 and 200 and username !~ '[[:cntrl:]]'),
    constraint credentials_reference_by_kind check (
        case kind
            when 'ssh_ca' then ssh_role is not null and vault_path is null and not managed
            else vault_path is not null and ssh_role is null
        end),
    constraint credentials_vault_path_form check (vault_path ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$' and length(vault_path) <= 500),
    constraint credentials_vault_version_positive check (vault_version > 0),
    constraint credentials_ssh_role_form check (ssh_role ~ '^[A-Za-z0-9_.-]{1,100}$')
);
comment on table credentials is 'user name and a reference into the vault; never the secret';
comment on column credentials.vault_path is 'path below the KV v2 mount; fields password, private_key, passphrase';
comment on column credentials.vault_version is 'pinned KV version; null means the newest';
comment on column credentials.managed is 'the hub wrote the secret and removes it with the credential';
create unique index credentials_name_unique on credentials (tenant_id, lower(name));
call openpam.isolate_by_tenant('credentials');
create trigger credentials_touch before update on credentials for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('credentials', 'credential_id');

create table target_credentials (
    tenant_id     uuid not null references tenants,
    target_id     uuid not null,
    credential_id uuid not null,
    created_at    timestamptz not null default now(),
    constraint target_credentials_key primary key (target_id, credential_id),
    constraint target_credentials_target foreign key (tenant_id, target_id) references targets (tenant_id, target_id) on delete cascade,
    constraint target_credentials_credential foreign key (tenant_id, credential_id) references credentials (tenant_id, credential_id) on delete cascade
);
comment on table target_credentials is 'which credentials may be used on which target';
create index target_credentials_by_credential on target_credentials (tenant_id, credential_id);
call openpam.isolate_by_tenant('target_credentials');
call openpam.audit_rows('target_credentials', 'target_id');
