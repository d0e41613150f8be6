-- Who watches or joins a session beside its person, and whether the person is told.

create table session_participants (
    participant_id   uuid primary key,
    tenant_id        uuid not null references tenants,
    session_id       uuid not null,
    hub_id           uuid not null references hubs,
    user_id          uuid not null,
    user_name        text not null,
    kind             text not null,
    visible          boolean not null,
    decision_id      uuid not null,
    client_ip        inet,
    began_at         timestamptz not null default now(),
    ended_at         timestamptz,
    end_code         text,
    input_granted_at timestamptz,
    bytes_sent       bigint not null default 0,
    constraint session_participants_tenant_key unique (tenant_id, participant_id),
    constraint session_participants_session foreign key (tenant_id, session_id) references sessions (tenant_id, session_id),
    constraint session_participants_decision foreign key (tenant_id, decision_id) references audit_events (tenant_id, audit_event_id),
    constraint session_participants_kind check (kind in ('watch', 'join')),
    constraint session_participants_end_after_begin check (ended_at >= began_at),
    constraint session_participants_end_code check ((ended_at is null) = (end_code is null)),
    constraint session_participants_input check (kind = 'join' or (input_granted_at is null and bytes_sent = 0)),
    constraint session_participants_joined_are_seen check (kind = 'watch' or visible),
    constraint session_participants_counts check (bytes_sent >= 0)
);
comment on table session_participants is 'who watches a session or takes part in it, beside the person whose it is';
comment on column session_participants.visible is 'whether the session''s person is told; by policy for who watches, always for who joins';
comment on column session_participants.decision_id is 'the audit event that allowed it';
comment on column session_participants.input_granted_at is 'when the session''s person last let them type';
comment on column session_participants.bytes_sent is 'bytes they typed';
create index session_participants_by_session on session_participants (tenant_id, session_id, participant_id);
create index session_participants_open on session_participants (tenant_id, hub_id) where ended_at is null;
call openpam.isolate_by_tenant('session_participants');
call openpam.audit_rows('session_participants', 'participant_id');
revoke delete on session_participants from openpam_app;

create function openpam.session_participants_final() returns trigger
    language plpgsql as $$
begin
    if old.ended_at is not null
        or (to_jsonb(new) - 'ended_at' - 'end_code' - 'input_granted_at' - 'bytes_sent')
            is distinct from (to_jsonb(old) - 'ended_at' - 'end_code' - 'input_granted_at' - 'bytes_sent') then
        raise exception 'participant % cannot change like this', old.participant_id
            using errcode = 'check_violation', constraint = 'session_participants_are_final';
    end if;
    return new;
end
$$;
create trigger session_participants_final before update on session_participants
    for each row execute function openpam.session_participants_final();

alter table settings add column watch_visible boolean not null default true;
comment on column settings.watch_visible is 'whether people are told who watches their sessions';
