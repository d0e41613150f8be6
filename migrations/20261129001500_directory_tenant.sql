-- identity: a person of the directory is known by its tenant and their id there. Who was known before is that
-- tenant's of which they come next.
alter table users add column external_tid text not null default '';
alter table users add constraint users_external_tid_by_source check (source = 'oidc' or external_tid = '') not valid;
comment on column users.external_tid is 'the directory''s tenant (tid of Entra ID); empty where there is none, or none was told yet';
create unique index users_external_identity_unique on users (tenant_id, source, external_id, external_tid)
    where external_id is not null;
-- The index of before, users_external_id_unique, goes with a later release: hubs of before name its columns.
