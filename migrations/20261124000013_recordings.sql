-- recordings: the keys, one row for each recording, and where to find what in it.

create table recording_keys (
    recording_key_id uuid primary key,
    tenant_id   uuid not null references tenants,
    purpose     text not null,
    public_key  bytea not null,
    vault_path  text,
    created_at  timestamptz not null default now(),
    retired_at  timestamptz,
    constraint recording_keys_tenant_key unique (tenant_id, recording_key_id),
    constraint recording_keys_purpose check (purpose in ('tenant', 'escrow', 'signer')),
    constraint recording_keys_length check (length(public_key) = 32)
);
comment on table recording_keys is
    'public keys of recordings: X25519 of who can read them, Ed25519 of who signs them. Private keys are in the vault';
comment on column recording_keys.vault_path is 'null when the private key is kept elsewhere';
create unique index recording_keys_current on recording_keys (tenant_id, purpose) where retired_at is null;
call openpam.isolate_by_tenant('recording_keys');
call openpam.audit_rows('recording_keys', 'recording_key_id', 'public_key');
revoke delete on recording_keys from openpam_app;

create table recordings (
    session_id    uuid primary key,
    tenant_id     uuid not null references tenants,
    state         text not null default 'recording',
    required      boolean not null,
    path          text not null,
    started_at    timestamptz not null,
    ended_at      timestamptz,
    segments      integer not null default 0,
    records       bigint not null default 0,
    plain_bytes   bigint not null default 0,
    stored_bytes  bigint not null default 0,
    dropped_bytes bigint not null default 0,
    duration_us   bigint not null default 0,
    root          bytea,
    signer        bytea,
    constraint recordings_tenant_key unique (tenant_id, session_id),
    constraint recordings_session foreign key (tenant_id, session_id) references sessions (tenant_id, session_id),
    constraint recordings_state check (state in ('recording', 'complete', 'completed', 'empty')),
    constraint recordings_end_by_state check ((state = 'recording') = (ended_at is null)),
    constraint recordings_counts check (segments >= 0 and records >= 0 and plain_bytes >= 0 and stored_bytes >= 0
                                        and dropped_bytes >= 0 and duration_us >= 0)
);
comment on table recordings is 'the recording of a session, as far as it is stored';
comment on column recordings.state is
    'recording: the session runs; complete: its hub closed it; completed: another hub closed what a hub that died had stored; empty: nothing was recorded';
comment on column recordings.root is 'Merkle root over the segments so far (RFC 6962)';
create index recordings_open on recordings (tenant_id, session_id) where state = 'recording';
call openpam.isolate_by_tenant('recordings');
revoke delete on recordings from openpam_app;

create table recording_segments (
    tenant_id     uuid not null references tenants,
    session_id    uuid not null,
    seq           integer not null,
    from_us       bigint not null,
    until_us      bigint not null,
    records       integer not null,
    plain_bytes   integer not null,
    stored_bytes  integer not null,
    hash          bytea not null,
    constraint recording_segments_key primary key (tenant_id, session_id, seq),
    constraint recording_segments_recording foreign key (tenant_id, session_id)
        references recordings (tenant_id, session_id) on delete cascade,
    constraint recording_segments_times check (0 <= from_us and from_us <= until_us)
);
comment on table recording_segments is 'an index over what is stored: it can be made again from the store';
call openpam.isolate_by_tenant('recording_segments');
revoke update, delete on recording_segments from openpam_app;

-- What the screen showed where a segment begins, so that playback can start there. It is as secret as
-- the recording, and it is not encrypted: who reads the database reads screens.
create table recording_screens (
    tenant_id  uuid not null references tenants,
    session_id uuid not null,
    seq        integer not null,
    cols       integer not null,
    rows       integer not null,
    screen     text not null,
    constraint recording_screens_key primary key (tenant_id, session_id, seq),
    constraint recording_screens_recording foreign key (tenant_id, session_id)
        references recordings (tenant_id, session_id) on delete cascade,
    constraint recording_screens_size check (cols between 1 and 1000 and rows between 1 and 1000)
);
comment on table recording_screens is 'text that draws the screen at the beginning of a segment; can be made again';
call openpam.isolate_by_tenant('recording_screens');
revoke update, delete on recording_screens from openpam_app;

call openpam.audit_rows('recordings', 'session_id', 'segments', 'records', 'plain_bytes', 'stored_bytes', 'dropped_bytes',
                        'duration_us', 'root', 'signer');

-- A recording that is closed stays as it was closed; a key stays what it is.
create function openpam.recordings_final() returns trigger
    language plpgsql as $$
begin
    if old.state <> 'recording'
        or (new.tenant_id, new.session_id, new.required, new.path, new.started_at)
            is distinct from (old.tenant_id, old.session_id, old.required, old.path, old.started_at) then
        raise exception 'recording % cannot change like this', old.session_id
            using errcode = 'check_violation', constraint = 'recordings_closed_is_final';
    end if;
    return new;
end
$$;
create trigger recordings_final before update on recordings for each row execute function openpam.recordings_final();

create function openpam.recording_keys_final() returns trigger
    language plpgsql as $$
begin
    if (to_jsonb(new) - 'retired_at') is distinct from (to_jsonb(old) - 'retired_at') then
        raise exception 'recording key % cannot change', old.recording_key_id
            using errcode = 'check_violation', constraint = 'recording_keys_are_final';
    end if;
    return new;
end
$$;
create trigger recording_keys_final before update on recording_keys
    for each row execute function openpam.recording_keys_final();
