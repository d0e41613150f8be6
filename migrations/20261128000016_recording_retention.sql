-- recordings: what waits in a spool, what is held, what is purged; and the tenant's choices about them.

alter table settings add column recording_retention_days integer;
alter table settings add column recording_required boolean;
alter table settings add constraint settings_recording_retention_range
    check (recording_retention_days between 1 and 36500);
comment on column settings.recording_retention_days is 'days after which recordings are purged; null keeps them';
comment on column settings.recording_required is 'true is stricter than the hub''s configuration; nothing is laxer';

alter table recording_segments add column spool text;
comment on column recording_segments.spool is
    'host and folder where the segment waits for the store; null when it is in the store';
create index recording_segments_spooled on recording_segments (tenant_id, session_id) where spool is not null;
grant update (spool) on recording_segments to openpam_app;

alter table recordings
    add column spool text,
    add column hold_at timestamptz,
    add column hold_by uuid,
    add column hold_by_name text,
    add column hold_reason text,
    add column purge_at timestamptz,
    add column purge_by_name text,
    add column purge_reason text,
    add column purge_error text,
    add column purge_retry_at timestamptz,
    add column purged_at timestamptz,
    drop constraint recordings_state,
    add constraint recordings_state
        check (state in ('recording', 'complete', 'completed', 'empty', 'purging', 'purged')),
    add constraint recordings_hold check ((hold_at is null) = (hold_reason is null)
        and (hold_at is null) = (hold_by_name is null)),
    add constraint recordings_hold_reason_length check (length(hold_reason) between 1 and 1000),
    add constraint recordings_purge_reason_length check (length(purge_reason) between 1 and 1000),
    add constraint recordings_purge_by_state
        check ((state in ('purging', 'purged')) = (purge_at is not null) and (state = 'purged') = (purged_at is not null));
comment on column recordings.state is
    'recording: the session runs; complete: its hub closed it; completed: another hub closed what a hub that died had stored; empty: nothing was recorded; purging: being deleted from the store; purged: deleted, this row and its root stay';
comment on column recordings.spool is 'host and folder where the manifest waits for the store';
comment on column recordings.hold_at is 'since when a legal hold keeps it from being purged';
comment on column recordings.purge_error is 'why it could not be purged yet';
create index recordings_ended on recordings (tenant_id, ended_at) where state in ('complete', 'completed', 'empty');
create index recordings_purging on recordings (tenant_id, session_id) where state = 'purging';

-- A recording that is closed stays as it was closed, except that it may be held and purged: in this
-- order, and never both.
create or replace function openpam.recordings_final() returns trigger
    language plpgsql as $$
declare
    refused text;
begin
    if (new.tenant_id, new.session_id, new.required, new.path, new.started_at)
        is distinct from (old.tenant_id, old.session_id, old.required, old.path, old.started_at) then
        refused := 'recordings_closed_is_final';
    elsif old.state = 'recording' then
        if new.state in ('purging', 'purged') then refused := 'recordings_closed_is_final'; end if;
    elsif (new.ended_at, new.segments, new.records, new.plain_bytes, new.stored_bytes, new.dropped_bytes,
           new.duration_us, new.root, new.signer)
        is distinct from (old.ended_at, old.segments, old.records, old.plain_bytes, old.stored_bytes,
                          old.dropped_bytes, old.duration_us, old.root, old.signer) then
        refused := 'recordings_closed_is_final';
    elsif new.state <> old.state
        and not (old.state in ('complete', 'completed', 'empty') and new.state = 'purging')
        and not (old.state = 'purging' and new.state = 'purged') then
        refused := 'recordings_closed_is_final';
    elsif new.state in ('purging', 'purged') and new.hold_at is not null then
        refused := 'recordings_held_is_kept';
    elsif old.state in ('purging', 'purged') and (new.purge_at, new.purge_by_name, new.purge_reason)
        is distinct from (old.purge_at, old.purge_by_name, old.purge_reason) then
        refused := 'recordings_closed_is_final';
    end if;
    if refused is not null then
        raise exception 'recording % cannot change like this', old.session_id
            using errcode = 'check_violation', constraint = refused;
    end if;
    return new;
end
$$;

-- What the database knows of a recording's content goes with the recording, and not before: the
-- application may delete none of it by itself.
create function openpam.forget_recording(recording uuid) returns void
    language plpgsql security definer set search_path = pg_catalog, public as $$
begin
    if not exists (select from public.recordings
                   where tenant_id = openpam.current_tenant() and session_id = recording and state = 'purging') then
        raise exception 'recording % is not being purged', recording
            using errcode = 'check_violation', constraint = 'recordings_closed_is_final';
    end if;
    delete from public.recording_screens where tenant_id = openpam.current_tenant() and session_id = recording;
    delete from public.recording_segments where tenant_id = openpam.current_tenant() and session_id = recording;
    -- Its lines go with it.
    if to_regclass('public.recording_index') is not null then
        delete from public.recording_index where tenant_id = openpam.current_tenant() and session_id = recording;
    end if;
end
$$;
comment on function openpam.forget_recording(uuid) is 'deletes segments, screens and text of a recording that is purged';
revoke all on function openpam.forget_recording(uuid) from public;
grant execute on function openpam.forget_recording(uuid) to openpam_app;
