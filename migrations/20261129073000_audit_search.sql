-- audit: a search for a part of a text over a trail that has grown for years; and changes by hand, which are few.

-- Images that nobody acted for. Rows with an actor, nearly all, are not in it and cost nothing.
create index row_changes_by_hand on row_changes (tenant_id, occurred_at desc, row_change_id desc) where actor is null;

-- What of an event is searched.
create function openpam.audit_text(actor_name text, object_name text, action text, detail jsonb) returns text
    language sql immutable parallel safe
    return lower(coalesce(actor_name, '') || E'\n' || coalesce(object_name, '') || E'\n' || coalesce(action, '') || E'\n'
        || coalesce(detail::text, ''));

-- Behind the acts, not in them: three letters each of a text are hundreds of keys, and an index that each insert had to
-- keep would halve what a hub can do. What is not in here yet is looked at row by row.
create table audit_search (
    tenant_id      uuid not null,
    audit_event_id uuid not null,
    text           text not null,
    constraint audit_search_pkey primary key (tenant_id, audit_event_id)
);
comment on table audit_search is 'texts of audit events for the search; can be made again, and proves nothing';
create index audit_search_text on audit_search using gin (text gin_trgm_ops);
call openpam.isolate_by_tenant('audit_search');
create policy search_by_owner on audit_search to current_user using (true) with check (true);
revoke insert, update, delete on audit_search from openpam_app;

create table audit_search_progress (
    only_one       boolean not null default true,
    xid            xid8 not null default '0',
    audit_event_id uuid not null default '00000000-0000-0000-0000-000000000000',
    constraint audit_search_progress_pkey primary key (only_one),
    constraint audit_search_progress_only_one check (only_one)
);
comment on table audit_search_progress is 'all events up to here, in the order of transactions, are in audit_search';
insert into audit_search_progress default values;
revoke all on audit_search_progress from openpam_app;

-- Takes the next events, of transactions behind which none is open: so none is left out. How many it was; nothing where
-- another hub is at it. A database that was restored into a cluster that has counted fewer transactions begins anew.
create function openpam.index_audit_events(most integer) returns integer
    language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    progress public.audit_search_progress;
    until xid8 := pg_snapshot_xmin(pg_current_snapshot());
    taken record;
begin
    -- Where nothing is new, nothing is written either.
    if not exists (select from public.audit_search_progress p cross join lateral (
                       select from public.audit_events e
                       where (e.xid, e.audit_event_id) > (p.xid, p.audit_event_id) and e.xid < until limit 1) e)
       and not exists (select from public.audit_search_progress p where p.xid > pg_snapshot_xmax(pg_current_snapshot())) then
        return 0;
    end if;
    select * into progress from public.audit_search_progress for update skip locked;
    if not found then
        return 0;
    end if;
    if progress.xid > pg_snapshot_xmax(pg_current_snapshot()) then
        progress.xid := '0';
    end if;
    with batch as materialized (
        select e.xid, e.audit_event_id, e.tenant_id,
               openpam.audit_text(e.actor_name, e.object_name, e.action, e.detail) as text
        from public.audit_events e
        where (e.xid, e.audit_event_id) > (progress.xid, progress.audit_event_id) and e.xid < until
        order by e.xid, e.audit_event_id limit most
    ), filed as (
        insert into public.audit_search (tenant_id, audit_event_id, text)
        select b.tenant_id, b.audit_event_id, b.text from batch b
        on conflict (tenant_id, audit_event_id) do update set text = excluded.text
    ), last as (
        select b.xid, b.audit_event_id from batch b order by b.xid desc, b.audit_event_id desc limit 1
    )
    select l.xid, l.audit_event_id, (select count(*) from batch)::integer as rows into taken from last l;
    if taken.rows is null then
        return 0;
    end if;
    update public.audit_search_progress set xid = taken.xid, audit_event_id = taken.audit_event_id;
    return taken.rows;
end
$$;

-- Events of the transaction's tenant that have the text and fit, newest first. As the owner: whether a row has a text is
-- no question that may be asked before row-level security has let it through, so that no index would be used; nor may the
-- planner look at what texts there are, so that it takes each for a rare one. So the newest are gone through first, where
-- a frequent one is found soon; then the index finds a rare one; of a frequent one, those that fit are found by the rest of
-- the filter; and what is not in the index yet is looked at row by row.
create function openpam.search_audit_events(pattern text, before uuid, wanted_action text, action_prefix text,
                                            wanted_actor uuid, wanted_object uuid, wanted_outcome text,
                                            since timestamptz, until timestamptz, most bigint,
                                            unwanted_action text) returns setof uuid
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    fits constant text := $query$
            ($4 is null or e.action = $4) and ($5 is null or starts_with(e.action, $5))
            and ($6 is null or e.actor_id = $6) and ($7 is null or e.object_id = $7)
            and ($8 is null or e.outcome = $8) and ($9 is null or e.occurred_at >= $9)
            and ($10 is null or e.occurred_at < $10) and ($14 is null or e.action <> $14) $query$;
    progress public.audit_search_progress;
    found uuid[];
    waiting uuid[];
    is_rare boolean;
begin
    select * into progress from public.audit_search_progress;
    execute $query$
        select array_agg(w.id) from (
            select n.id from (select s.audit_event_id as id, s.text from public.audit_search s
                              where s.tenant_id = $1 and ($3 is null or s.audit_event_id < $3)
                              order by s.audit_event_id desc limit 20000) n
            cross join lateral (select from public.audit_events e where e.audit_event_id = n.id and $query$ || fits || $query$) e
            where n.text like $2 order by n.id desc limit $11) w $query$
        into found using openpam.current_tenant(), pattern, before, wanted_action, action_prefix, wanted_actor,
            wanted_object, wanted_outcome, since, until, most, progress.xid, progress.audit_event_id, unwanted_action;
    if coalesce(cardinality(found), 0) < most then
        execute 'select count(*) <= 10000 from (select from public.audit_search s
                 where s.tenant_id = $1 and s.text like $2 limit 10001) as few'
            into is_rare using openpam.current_tenant(), pattern;
        execute case when is_rare then $query$
            select array_agg(w.id) from (
                select s.audit_event_id as id from public.audit_search s
                join public.audit_events e on e.audit_event_id = s.audit_event_id
                where s.tenant_id = $1 and s.text like $2 and ($3 is null or s.audit_event_id < $3) and $query$ || fits || $query$
                order by s.audit_event_id desc limit $11) w $query$
        else $query$
            select array_agg(w.id) from (
                select e.audit_event_id as id from public.audit_events e
                where e.tenant_id = $1
                  and ($3 is null or e.audit_event_id < $3) and $query$ || fits || $query$
                  and openpam.audit_text(e.actor_name, e.object_name, e.action, e.detail) like $2
                order by e.audit_event_id desc limit $11) w $query$
        end
            into found using openpam.current_tenant(), pattern, before, wanted_action, action_prefix, wanted_actor,
                wanted_object, wanted_outcome, since, until, most, progress.xid, progress.audit_event_id, unwanted_action;
    end if;
    execute $query$
        select array_agg(w.id) from (
            select e.audit_event_id as id from public.audit_events e
            where (e.xid, e.audit_event_id) > ($12, $13) and e.tenant_id = $1
              and openpam.audit_text(e.actor_name, e.object_name, e.action, e.detail) like $2
              and not exists (select from public.audit_search s
                              where s.tenant_id = $1 and s.audit_event_id = e.audit_event_id)
              and ($3 is null or e.audit_event_id < $3) and $query$ || fits || $query$
            order by e.audit_event_id desc limit $11) w $query$
        into waiting using openpam.current_tenant(), pattern, before, wanted_action, action_prefix, wanted_actor,
            wanted_object, wanted_outcome, since, until, most, progress.xid, progress.audit_event_id, unwanted_action;
    return query select distinct id from unnest(found || waiting) id order by id desc limit most;
end
$$;
revoke all on function openpam.index_audit_events(integer),
    openpam.search_audit_events(text, uuid, text, text, uuid, uuid, text, timestamptz, timestamptz, bigint, text) from public;
grant execute on function openpam.index_audit_events(integer),
    openpam.search_audit_events(text, uuid, text, text, uuid, uuid, text, timestamptz, timestamptz, bigint, text) to openpam_app;
