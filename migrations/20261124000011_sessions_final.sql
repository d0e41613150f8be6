-- What an ended session was does not change any more, and it names a decision of its own tenant.

create or replace function openpam.sessions_state_machine() returns trigger
    language plpgsql as $$
begin
    -- A target or credential that is deleted leaves its name.
    if old.status <> 'active'
        and ((to_jsonb(new) - 'target_id' - 'credential_id') is distinct from (to_jsonb(old) - 'target_id' - 'credential_id')
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

alter table audit_events add constraint audit_events_tenant_key unique (tenant_id, audit_event_id);
alter table sessions drop constraint sessions_decision_id_fkey;
alter table sessions add constraint sessions_decision
    foreign key (tenant_id, decision_id) references audit_events (tenant_id, audit_event_id);
