-- functions that run as their owner: temporary objects come last. Where the path does not name pg_temp,
-- types and tables of the caller's own temporary schema come first, and a domain with the name of a type
-- would run the caller's code as the owner (PostgreSQL, "Writing SECURITY DEFINER Functions Safely").

alter function openpam.tenant_by_slug(text) set search_path = pg_catalog, public, pg_temp;
alter function openpam.tenant_ids() set search_path = pg_catalog, public, pg_temp;
alter function openpam.record_row_change() set search_path = pg_catalog, public, openpam, pg_temp;
alter function openpam.search_recording_lines(text, boolean, uuid, uuid, integer, boolean)
    set search_path = pg_catalog, public, pg_temp;
alter function openpam.forget_recording(uuid) set search_path = pg_catalog, public, pg_temp;
