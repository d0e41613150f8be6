-- recordings: a password at its prompt is told from what other output hides; looking at screens has a budget of its own.

alter table recording_index
    add column hidden_entries integer not null default 0,
    add column looked_lines integer not null default 0,
    add constraint recording_index_told_apart check (hidden_entries between 0 and unseen_entries and looked_lines >= 0)
        not valid;
comment on column recording_index.unseen_entries is
    'how often Enter followed keys that did not show and no command was found; as after a password';
comment on column recording_index.hidden_entries is
    'of those, what was not entered at a prompt that asks: it may have been a command';
comment on column recording_index.looked_lines is 'lines that were taken by looking at the screen, which has a budget of its own';
drop index recording_index_partial;
create index recording_index_partial on recording_index (tenant_id, session_id)
    where sampled <> '{}' or truncated or cut or hidden_entries > 0 or error_code is not null;
create index recording_index_unseen on recording_index (tenant_id, session_id) where unseen_entries > hidden_entries;

-- sessions: where another hub closed a session because its own seemed to be gone, that one says once how it ended.
create or replace function openpam.sessions_state_machine() returns trigger
    language plpgsql as $$
declare
    -- What the hub that carried it knows better.
    known text[] := array['status', 'exit_status', 'exit_signal', 'error_code', 'error_message', 'bytes_sent',
                          'bytes_received'];
    is_corrected boolean := old.status = 'failed' and old.error_code = 'hub_lost' and new.status <> 'active'
                            and new.error_code is distinct from 'hub_lost';
begin
    -- A target or credential that is deleted leaves its name.
    if old.status <> 'active'
        and ((to_jsonb(new) - 'target_id' - 'credential_id' - case when is_corrected then known else '{}' end)
             is distinct from
             (to_jsonb(old) - 'target_id' - 'credential_id' - case when is_corrected then known else '{}' end)
             or (new.target_id is not null and new.target_id is distinct from old.target_id)
             or (new.credential_id is not null and new.credential_id is distinct from old.credential_id)) then
        raise exception 'session % has ended as %', old.session_id, old.status
            using errcode = 'check_violation', constraint = 'sessions_ended_is_final';
    end if;
    if (new.tenant_id, new.user_id, new.user_name, new.hub_id, new.start_time, new.protocol, new.decision_id,
        new.target_name, new.credential_name, new.client_ip, new.reason)
        is distinct from (old.tenant_id, old.user_id, old.user_name, old.hub_id, old.start_time, old.protocol,
        old.decision_id, old.target_name, old.credential_name, old.client_ip, old.reason) then
        raise exception 'session %: who, when and why cannot change', old.session_id
            using errcode = 'check_violation', constraint = 'sessions_origin_is_final';
    end if;
    return new;
end
$$;
