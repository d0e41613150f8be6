-- events: names in what was published can be erased, by the owner alone and in a transaction that says so.

create or replace function openpam.platform_events_final() returns trigger
    language plpgsql as $$
begin
    if (new.event_id, new.tenant_id, new.event_type, new.source, new.subject, new.occurred_at, new.correlation_id,
        new.schema_version, new.ingested_by)
        is distinct from
       (old.event_id, old.tenant_id, old.event_type, old.source, old.subject, old.occurred_at, old.correlation_id,
        old.schema_version, old.ingested_by)
       or (new.payload, new.context) is distinct from (old.payload, old.context)
          and not (coalesce(current_setting('openpam.erasing', true), '') = 'on'
                   and current_user = (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid)) then
        raise exception 'event % was published and cannot be changed', old.event_id
            using errcode = 'restrict_violation', constraint = 'platform_events_final';
    end if;
    return new;
end
$$;
