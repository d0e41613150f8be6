-- Announces, at commit, what can end access. Hubs that listen look at their sessions at once,
-- whoever made the change: this hub, another one, or a hand in psql.

create function openpam.announce_access_change() returns trigger
    language plpgsql as $$
begin
    perform pg_notify('openpam_access', case when tg_op = 'DELETE' then old.tenant_id else new.tenant_id end::text);
    return null;
end
$$;
comment on function openpam.announce_access_change() is
    'the payload is the tenant; PostgreSQL sends equal announcements of one transaction once';
revoke all on function openpam.announce_access_change() from public;

create trigger announce_removal after delete on users
    for each row execute function openpam.announce_access_change();
create trigger announce_change after update on users for each row
    when ((old.enabled, old.roles) is distinct from (new.enabled, new.roles))
    execute function openpam.announce_access_change();

create trigger announce_removal after delete on groups
    for each row execute function openpam.announce_access_change();
create trigger announce_change after update on groups for each row
    when (old.roles is distinct from new.roles)
    execute function openpam.announce_access_change();

create trigger announce_removal after update or delete on group_memberships
    for each row execute function openpam.announce_access_change();

-- A browser's activity and a fresh secret change nothing about access.
create trigger announce_removal after delete on auth_sessions
    for each row execute function openpam.announce_access_change();
create trigger announce_change after update on auth_sessions for each row
    when ((old.revoked_at, old.expires_at, old.user_id) is distinct from (new.revoked_at, new.expires_at, new.user_id))
    execute function openpam.announce_access_change();

create trigger announce_removal after delete on targets
    for each row execute function openpam.announce_access_change();
create trigger announce_change after update on targets for each row
    when (old.enabled is distinct from new.enabled)
    execute function openpam.announce_access_change();

create trigger announce_removal after update or delete on target_access_groups
    for each row execute function openpam.announce_access_change();
create trigger announce_removal after update or delete on target_credentials
    for each row execute function openpam.announce_access_change();

create trigger announce_change after insert or update on settings
    for each row execute function openpam.announce_access_change();

-- An operator wants a session to end, on whichever hub it runs.
create trigger announce_change after update on sessions for each row
    when (new.status = 'active' and new.error_code = 'terminated' and old.error_code is distinct from new.error_code)
    execute function openpam.announce_access_change();
