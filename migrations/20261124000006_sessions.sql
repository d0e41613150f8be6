-- sessions: one connection of a user to a target, and the hubs that carry them.

create table hubs (
    hub_id       uuid primary key,
    address      text not null,
    version      text not null,
    started_at   timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    stopped_at   timestamptz
);
comment on table hubs is 'running hub processes; belongs to no tenant. One without a recent heartbeat is dead';

create table sessions (
    session_id      uuid primary key,
    tenant_id       uuid not null references tenants,
    hub_id          uuid not null references hubs,
    user_id         uuid not null,
    user_name       text not null,
    auth_session_id uuid,
    target_id       uuid,
    target_name     text not null,
    credential_id   uuid,
    credential_name text not null,
    decision_id     uuid not null references audit_events,
    protocol        text not null,
    status          text not null default 'active',
    start_time      timestamptz not null default now(),
    end_time        timestamptz,
    bytes_sent      bigint not null default 0,
    bytes_received  bigint not null default 0,
    client_ip       inet,
    reason          text,
    exit_status     integer,
    exit_signal     text,
    error_code      text,
    error_message   text,
    terminated_by   uuid,
    recording_path  text,
    constraint sessions_tenant_key unique (tenant_id, session_id),
    constraint sessions_target foreign key (tenant_id, target_id) references targets (tenant_id, target_id) on delete set null (target_id),
    constraint sessions_credential foreign key (tenant_id, credential_id) references credentials (tenant_id, credential_id) on delete set null (credential_id),
    constraint sessions_protocol check (protocol in ('ssh', 'rdp')),
    constraint sessions_status check (status in ('active', 'completed', 'failed', 'terminated')),
    constraint sessions_end_by_status check ((status = 'active') = (end_time is null)),
    constraint sessions_end_after_start check (end_time >= start_time),
    constraint sessions_error_by_status check (status <> 'failed' or error_code is not null),
    constraint sessions_counts check (bytes_sent >= 0 and bytes_received >= 0),
    constraint sessions_reason_length check (length(reason) <= 1000)
);
comment on table sessions is 'one connection of a user to a target: who, what, when, bytes, status, reason. Names are kept as they were';
comment on column sessions.bytes_sent is 'bytes of terminal input sent to the target';
comment on column sessions.bytes_received is 'bytes of output received from the target';
comment on column sessions.decision_id is 'the audit event that allowed it';
create index sessions_newest on sessions (tenant_id, session_id desc);
create index sessions_by_user on sessions (tenant_id, user_id, session_id desc);
create index sessions_by_target on sessions (tenant_id, target_id, session_id desc);
create index sessions_active_by_hub on sessions (hub_id) where status = 'active';
call openpam.isolate_by_tenant('sessions');
call openpam.audit_rows('sessions', 'session_id', 'bytes_sent', 'bytes_received');

-- A session ends once and stays ended; what it was does not change afterwards.
create function openpam.sessions_state_machine() returns trigger
    language plpgsql as $$
begin
    if old.status <> 'active' and (new.status, new.end_time, new.reason) is distinct from (old.status, old.end_time, old.reason) then
        raise exception 'session % has ended as %', old.session_id, old.status
            using errcode = 'check_violation', constraint = 'sessions_ended_is_final';
    end if;
    if (new.tenant_id, new.user_id, new.hub_id, new.start_time, new.protocol, new.decision_id)
        is distinct from (old.tenant_id, old.user_id, old.hub_id, old.start_time, old.protocol, old.decision_id) then
        raise exception 'session %: who, when and why cannot change', old.session_id
            using errcode = 'check_violation', constraint = 'sessions_origin_is_final';
    end if;
    return new;
end
$$;
create trigger sessions_state_machine before update on sessions
    for each row execute function openpam.sessions_state_machine();
revoke delete on sessions from openpam_app;
revoke delete on hubs from openpam_app;
