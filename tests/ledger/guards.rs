//! What a superuser does to what guards the trail.

use super::tampering::Attack;

/// What guards the trail is switched off, and nothing else is done yet.
pub(super) const GUARDS: &[Attack] = &[
    Attack {
        what: "images of a table are switched off",
        by: "alter table users disable trigger audit_row_change",
        found_as: &["trigger_disabled"],
    },
    Attack {
        what: "images of a table are for replication alone",
        by: "alter table users enable replica trigger audit_row_change",
        found_as: &["trigger_disabled"],
    },
    Attack {
        what: "a session can switch off what keeps events",
        by: "alter table audit_events enable trigger audit_events_append_only",
        found_as: &["trigger_disabled"],
    },
    Attack {
        what: "a table keeps no images",
        by: "drop trigger audit_row_change on sessions",
        found_as: &["trigger_missing"],
    },
    Attack {
        what: "another function is called for images",
        by: "create function public.nothing() returns trigger language plpgsql as 'begin return null; end';
             drop trigger audit_row_change on users;
             create trigger audit_row_change after insert on users for each row execute function public.nothing();
             alter table users enable always trigger audit_row_change",
        found_as: &["trigger_replaced"],
    },
    Attack {
        what: "the function that keeps images does nothing",
        by: "create or replace function openpam.record_row_change() returns trigger language plpgsql security definer
             as 'begin return null; end'",
        found_as: &["function_replaced"],
    },
    Attack {
        what: "a column of a table is left out of its images",
        by: "drop trigger audit_row_change on users;
             create trigger audit_row_change after insert or update or delete on users for each row
                 execute function openpam.record_row_change('user_id', 'password_hash', 'last_login_at', 'enabled');
             alter table users enable always trigger audit_row_change",
        found_as: &["trigger_replaced"],
    },
    Attack {
        what: "images are kept of deletions alone",
        by: "drop trigger audit_row_change on targets;
             create trigger audit_row_change after delete on targets for each row
                 execute function openpam.record_row_change('target_id');
             alter table targets enable always trigger audit_row_change",
        found_as: &["trigger_replaced"],
    },
    Attack {
        what: "images are kept under a condition",
        by: "drop trigger audit_row_change on targets;
             create trigger audit_row_change after insert or update or delete on targets for each row
                 when (current_user <> 'postgres') execute function openpam.record_row_change('target_id');
             alter table targets enable always trigger audit_row_change",
        found_as: &["trigger_replaced"],
    },
    Attack {
        what: "a trigger more drops some events before they are written",
        by: "create trigger quiet before insert on audit_events for each row when (new.action = 'test.event')
                 execute function openpam.record_row_change('audit_event_id')",
        found_as: &["trigger_added"],
    },
    Attack {
        what: "who acts is always somebody else",
        by: "create or replace function openpam.current_actor() returns text language sql stable parallel safe
                 return 'system'::text",
        found_as: &["function_replaced"],
    },
    Attack {
        what: "the function that keeps images runs as whoever changes a row",
        by: "alter function openpam.record_row_change() security invoker",
        found_as: &["function_replaced"],
    },
    Attack {
        what: "the function that keeps images looks for tables elsewhere",
        by: "alter function openpam.record_row_change() set search_path = pg_temp, public, openpam",
        found_as: &["function_replaced"],
    },
    Attack {
        what: "whoever led before may still write",
        by: "create or replace function openpam.ledger_fence(own_epoch bigint) returns void language plpgsql
                 security definer set search_path = pg_catalog, public, pg_temp as 'begin end'",
        found_as: &["function_replaced"],
    },
    Attack {
        what: "a function more is there to be called",
        by: "create function openpam.ledger_fence(own_epoch integer) returns void language sql as 'select'",
        found_as: &["function_replaced"],
    },
    Attack {
        what: "every tenant sees the events of all",
        by: "alter policy tenant_isolation on audit_events using (true)",
        found_as: &["policy_replaced"],
    },
    Attack {
        what: "whoever gives places sees no events",
        by: "drop policy ledger_by_owner on audit_events",
        found_as: &["policy_missing"],
    },
    Attack {
        what: "no policy is asked",
        by: "alter table row_changes disable row level security",
        found_as: &["row_security_off"],
    },
    Attack {
        what: "a policy hides events from the application",
        by: "create policy quiet on audit_events as restrictive for select to openpam_app using (action <> 'test.event')",
        found_as: &["policy_added"],
    },
    Attack {
        what: "the application may write places",
        by: "grant insert on ledger_entries to openpam_app",
        found_as: &["right_added"],
    },
    Attack {
        what: "everybody may say when an event was seen",
        by: "grant insert on audit_events to public",
        found_as: &["right_added"],
    },
    Attack {
        what: "a rule drops images",
        by: "create rule quiet as on insert to row_changes do instead nothing",
        found_as: &["rule_added"],
    },
    Attack {
        what: "a view is in the place of the events",
        by: "alter table audit_events rename to true_events; create view audit_events as select * from true_events;
             grant select, insert on audit_events to openpam_app",
        found_as: &["trigger_missing"],
    },
];
