-- A secret is written into the vault before its credential's row is committed, and removed after
-- that row is gone. What a hub that dies in between leaves behind is found through this table.

create table vault_orphans (
    tenant_id     uuid not null references tenants,
    credential_id uuid not null,
    vault_path    text not null,
    created_at    timestamptz not null default now(),
    constraint vault_orphans_key primary key (tenant_id, credential_id)
);
comment on table vault_orphans is
    'secrets that may be in the vault without a credential: noted before the vault is asked, forgotten with the commit';
call openpam.isolate_by_tenant('vault_orphans');
