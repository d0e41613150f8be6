-- The credentials of a target have an order: the first is offered first.

alter table target_credentials add column position integer not null default 0;
alter table target_credentials add constraint target_credentials_position check (position >= 0);
comment on column target_credentials.position is 'smaller ones are offered before';

-- Another order changes nothing about access.
drop trigger announce_removal on target_credentials;
create trigger announce_removal after delete on target_credentials
    for each row execute function openpam.announce_access_change();
create trigger announce_change after update on target_credentials for each row
    when ((old.tenant_id, old.target_id, old.credential_id) is distinct from (new.tenant_id, new.target_id, new.credential_id))
    execute function openpam.announce_access_change();
