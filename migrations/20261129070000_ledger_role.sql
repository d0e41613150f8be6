-- ledger: places and checkpoints can be written by a role of their own, so that whoever has the application's connection
-- can add to the trail and to nothing that proves it. `openpam migrate` says each time which role that is
-- (database.ledger_url); without one it is the application's.

drop policy tenant_reads on ledger_system_leaves;
create policy tenant_reads on ledger_system_leaves for select using (tenant_id = openpam.current_tenant());
drop policy leader_writes on ledger_system_leaves;
create policy leader_writes on ledger_system_leaves for insert with check (true);

-- Gives what the leader does to this role, and takes it from whoever had it. What is as it should be is left alone.
create procedure openpam.ledger_is_led_by(leader text)
    language plpgsql as $$
declare
    led record;
    other record;
begin
    if not exists (select from pg_roles where rolname = leader) then
        raise exception 'the role % does not exist', leader using errcode = 'undefined_object';
    end if;
    -- Beats are events, and checkpoints are told of.
    for led in
        select c.oid, c.oid::regclass as relation, c.relowner, r.is_ledgers, r.rights from (values
            ('ledger_entries', true, '{insert}'::text[]), ('ledger_tiles', true, '{insert}'),
            ('ledger_checkpoints', true, '{insert}'), ('ledger_heads', true, '{insert,update}'),
            ('ledger_system_leaves', true, '{insert}'), ('ledger_system_tiles', true, '{insert}'),
            ('ledger_system_checkpoints', true, '{insert}'), ('ledger_keys', true, '{insert}'),
            ('ledger_anchors', true, '{insert,update}'), ('ledger_cosignatures', true, '{insert}'),
            ('ledger_damaged', true, '{}'), ('platform_events', false, '{insert}'), ('audit_events', false, '{}')
        ) as r (name, is_ledgers, rights) join pg_class c on c.oid = ('public.' || r.name)::regclass
    loop
        for other in
            select distinct pg_get_userbyid(a.grantee) as role
            from (select c.relacl as rights from pg_class c where c.oid = led.oid
                  union all
                  select t.attacl from pg_attribute t where t.attrelid = led.oid) as given cross join aclexplode(given.rights) a
            where a.grantee not in (0, led.relowner) and a.privilege_type in ('INSERT', 'UPDATE', 'DELETE')
              and pg_get_userbyid(a.grantee) <> leader and (led.is_ledgers or pg_get_userbyid(a.grantee) <> 'openpam_app')
        loop
            execute format('revoke %s on %s from %I',
                case when other.role = 'openpam_app' then 'insert, update, delete, truncate' else 'all' end,
                led.relation, other.role);
        end loop;
        if not has_table_privilege(leader, led.oid, 'select')
           or exists (select from unnest(led.rights) needed where not has_table_privilege(leader, led.oid, needed)) then
            execute format('grant %s on %s to %I', array_to_string('select'::text || led.rights, ', '), led.relation, leader);
        end if;
    end loop;
    if not has_column_privilege(leader, 'public.audit_events'::regclass, 'audit_event_id', 'insert') then
        execute format('grant insert (audit_event_id, tenant_id, occurred_at, actor_type, actor_id, actor_name, action, '
            'outcome, object_type, object_id, object_name, request_id, client_ip, detail) on audit_events to %I', leader);
    end if;
    if not (has_schema_privilege(leader, 'public', 'usage') and has_schema_privilege(leader, 'openpam', 'usage')) then
        execute format('grant usage on schema public, openpam to %I', leader);
    end if;
    for led in
        select p.oid, p.oid::regprocedure as signature, p.proowner,
               p.proname not in ('ledger_name', 'ledger_watermark', 'ledger_system_range', 'ledger_state', 'ledger_waiting')
                   as is_leaders,
               coalesce(p.proacl, acldefault('f', p.proowner)) as rights
        from pg_proc p
        where p.pronamespace = 'openpam'::regnamespace and p.prokind = 'f' and p.proname like 'ledger\_%'
          and p.proname not in ('ledger_heads_grow', 'ledger_begin_anew')
    loop
        for other in
            select distinct pg_get_userbyid(a.grantee) as role from aclexplode(led.rights) a
            where a.grantee not in (0, led.proowner) and pg_get_userbyid(a.grantee) <> leader
              and (led.is_leaders or pg_get_userbyid(a.grantee) <> 'openpam_app')
        loop
            execute format('revoke execute on function %s from %I', led.signature, other.role);
        end loop;
        if not has_function_privilege(leader, led.oid, 'execute') then
            execute format('grant execute on function %s to %I', led.signature, leader);
        end if;
    end loop;
end
$$;
revoke all on procedure openpam.ledger_is_led_by(text) from public;
comment on procedure openpam.ledger_is_led_by is 'lets one role write places and checkpoints; for openpam migrate';
