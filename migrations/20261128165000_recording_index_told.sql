-- recordings: what the index could not take is told: lines that were cut, keys that did not show; and what
-- belongs on the timeline.

alter table recording_index
    add column cut boolean not null default false,
    add column unseen_keys bigint not null default 0,
    add column unseen_entries integer not null default 0,
    add column marks integer not null default 0,
    add column failures integer not null default 0,
    add constraint recording_index_told check (unseen_keys >= 0 and unseen_entries >= 0 and marks >= 0 and failures >= 0);
comment on column recording_index.cut is 'a line or a command was longer than is indexed, or its screen took too long to draw';
comment on column recording_index.unseen_keys is 'bytes that were typed and did not show on the screen, as passwords';
comment on column recording_index.unseen_entries is 'how often Enter followed such keys and no command was found';
comment on column recording_index.failures is 'how often what is stored could not be read; it is tried again a few times';
drop index recording_index_partial;
create index recording_index_partial on recording_index (tenant_id, session_id)
    where sampled <> '{}' or truncated or cut or unseen_entries > 0 or error_code is not null;

-- A command is one line of up to 8192 characters behind the end of its prompt; other text is in pieces. It takes
-- more than before: what is there holds it, and is not read through while sessions wait for the table.
alter table recording_lines drop constraint recording_lines_text,
    add constraint recording_lines_text check (length(text) between 1 and 8400) not valid;

create table recording_marks (
    tenant_id  uuid not null references tenants,
    session_id uuid not null,
    number     integer not null,
    at_us      bigint not null,
    label      text not null,
    constraint recording_marks_key primary key (tenant_id, session_id, number),
    constraint recording_marks_index foreign key (tenant_id, session_id)
        references recording_index (tenant_id, session_id) on delete cascade,
    constraint recording_marks_label check (length(label) between 1 and 200)
);
comment on table recording_marks is
    'facts for the timeline of a recording: its markers and gaps, and where keys did not show; can be made again';
comment on column recording_marks.at_us is 'microseconds since the recording began';
call openpam.isolate_by_tenant('recording_marks');
revoke update, delete on recording_marks from openpam_app;
