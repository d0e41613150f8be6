-- Functions that run with their owner's rights: the caller's temporary schema, which PostgreSQL otherwise asks
-- first for tables and types, is asked last. A domain made there could call whatever it likes as the owner.

alter function openpam.tenant_by_slug(text) set search_path = pg_catalog, public, pg_temp;
alter function openpam.tenant_ids() set search_path = pg_catalog, public, pg_temp;
alter function openpam.record_row_change() set search_path = pg_catalog, public, openpam, pg_temp;
alter function openpam.search_recording_lines(text, boolean, uuid, uuid, integer, boolean)
    set search_path = pg_catalog, public, pg_temp;
alter function openpam.forget_recording(uuid) set search_path = pg_catalog, public, pg_temp;

-- And nobody but the owner needs such a schema. Where the owner does not own the database, its administrator
-- revokes it (docs/operator.md).
do $$
begin
    if exists (select from pg_database where datname = current_database() and pg_has_role(current_user, datdba, 'usage')) then
        execute format('revoke temporary on database %I from public, openpam_app', current_database());
    end if;
end
$$;
