-- recordings: the text of sessions, to be searched.

create extension if not exists btree_gin;

-- A character that is cut between two segments belongs to the second one, as the screen does.
alter table recording_screens add column pending bytea not null default '';
alter table recording_screens add constraint recording_screens_pending check (length(pending) <= 3);
comment on column recording_screens.pending is 'bytes of the segment before that begin a character which this one ends';

create table recording_index (
    tenant_id  uuid not null references tenants,
    session_id uuid not null,
    segments   integer not null default 0,
    lines      integer not null default 0,
    bytes      bigint not null default 0,
    truncated  boolean not null default false,
    done       boolean not null default false,
    error_code text,
    indexed_at timestamptz,
    constraint recording_index_key primary key (tenant_id, session_id),
    constraint recording_index_recording foreign key (tenant_id, session_id)
        references recordings (tenant_id, session_id) on delete cascade,
    constraint recording_index_counts check (segments >= 0 and lines >= 0 and bytes >= 0),
    constraint recording_index_error_is_final check (error_code is null or done)
);
comment on table recording_index is 'how far the text of a recording is indexed; can be made again';
comment on column recording_index.truncated is 'there is more text than is indexed of one session';
comment on column recording_index.done is 'nothing more will be indexed: everything is, or error_code says why not';
create index recording_index_open on recording_index (tenant_id, session_id) where not done;
-- What was recorded before can be indexed too. The owner is no tenant.
alter table recordings no force row level security;
insert into recording_index (tenant_id, session_id) select tenant_id, session_id from recordings;
alter table recordings force row level security;
call openpam.isolate_by_tenant('recording_index');
revoke delete on recording_index from openpam_app;

-- As secret as the recording, and not encrypted: who reads the database reads what sessions showed.
create table recording_lines (
    tenant_id    uuid not null references tenants,
    session_id   uuid not null,
    number       integer not null,
    at_us        bigint not null,
    command_from smallint,
    text         text not null,
    constraint recording_lines_key primary key (tenant_id, session_id, number),
    constraint recording_lines_index foreign key (tenant_id, session_id)
        references recording_index (tenant_id, session_id) on delete cascade,
    constraint recording_lines_text check (length(text) between 1 and 1100),
    constraint recording_lines_command check (command_from between 0 and length(text))
);
comment on table recording_lines is 'lines of text that a session showed; can be made again from the recording';
comment on column recording_lines.at_us is 'microseconds since the recording began';
comment on column recording_lines.command_from is
    'where in the text a command begins that was run, in characters, best effort; null for other output';
create index recording_lines_search on recording_lines using gin (tenant_id, text gin_trgm_ops);
create index recording_lines_commands on recording_lines (tenant_id, session_id, number) where command_from is not null;
call openpam.isolate_by_tenant('recording_lines');
revoke update, delete on recording_lines from openpam_app;

-- Under row-level security PostgreSQL may use no index for `ilike`, which is not leakproof: it could
-- tell of other tenants' rows before the policy is asked. This function asks for the tenant itself, as
-- the owner, whose own policy lets it use the index; nobody else has that policy.
create policy recording_lines_search_by_owner on recording_lines for select to current_user using (true);

create function openpam.search_recording_lines(
    pattern text, commands boolean, first uuid, last uuid, most integer, output boolean
) returns table (session_id uuid, number integer)
    language plpgsql stable security definer set search_path = pg_catalog, public as $$
begin
    -- Dynamic, so that it is planned for this very pattern.
    return query execute
        'select lines.session_id, lines.number from public.recording_lines as lines
         where lines.tenant_id = openpam.current_tenant() and lines.text ilike $1
           and (not $2 or (lines.command_from is not null and substr(lines.text, lines.command_from + 1) ilike $1))
           and (not $6 or lines.command_from is null)
           and lines.session_id between $3 and $4
         limit $5'
        using pattern, commands, first, last, most, output;
end
$$;
comment on function openpam.search_recording_lines is 'lines of this transaction''s tenant that match, at most so many';
revoke all on function openpam.search_recording_lines from public;
grant execute on function openpam.search_recording_lines to openpam_app;
