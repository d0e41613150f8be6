//! What guards the trail in the database: triggers, the functions that they call, policies. Whoever has the database can
//! switch them off; a verification says so. What there should be is read from the migrations that this program brings,
//! not from the database.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::{error::LedgerError, store::verify as read_all, verify::Findings};
use crate::db;

/// Functions that the triggers call, whose bodies are as they were.
const FUNCTIONS: [&str; 5] =
    ["record_row_change", "refuse_change", "refuse_change_but_erasure", "erase_contents_only", "ledger_heads_grow"];

/// What the migrations make of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Guards {
    /// By table and name: the function, and whether it fires in any session.
    triggers: BTreeMap<(String, String), (String, bool)>,
    /// Bodies by name.
    functions: BTreeMap<String, String>,
    /// By table and name.
    policies: BTreeSet<(String, String)>,
    /// Triggers for images are made to fire in any session.
    rows_always: bool,
}

impl Guards {
    /// Goes through one migration more.
    fn read(&mut self, sql: &str) {
        let mut name = None::<String>;
        for (number, part) in sql.split("$$").enumerate() {
            if number % 2 == 1 {
                if let Some(name) = name.take() {
                    if name == "audit_rows" {
                        self.rows_always = part.contains("enable always");
                    }
                    self.functions.insert(name, part.to_owned());
                }
                continue;
            }
            let code =
                part.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
            for statement in code.split(';') {
                name = self.statement(&statement.split_whitespace().collect::<Vec<_>>());
            }
        }
    }

    /// The function whose body follows, where it is one.
    fn statement(&mut self, words: &[&str]) -> Option<String> {
        let words = words.iter().copied().filter(|word| !matches!(*word, "or" | "replace")).collect::<Vec<_>>();
        let behind = |word: &str| words.iter().position(|one| *one == word).and_then(|at| words.get(at + 1)).copied();
        let in_schema = |text: &str| text.strip_prefix("openpam.").map(|text| bare(text).to_owned());
        match *words.as_slice() {
            ["create", "function" | "procedure", signature, ..] => return in_schema(signature),
            ["create", "trigger", trigger, ..] => {
                let function = behind("function").and_then(in_schema)?;
                self.triggers.insert((bare(behind("on")?).to_owned(), trigger.to_owned()), (function, false));
            }
            ["drop", "trigger", trigger, "on", table, ..] => {
                self.triggers.remove(&(table.to_owned(), trigger.to_owned()));
            }
            ["create", "policy", policy, ..] => {
                self.policies.insert((bare(behind("on")?).to_owned(), policy.to_owned()));
            }
            ["drop", "policy", policy, "on", table, ..] => {
                self.policies.remove(&(table.to_owned(), policy.to_owned()));
            }
            ["drop", "table", table, ..] => {
                self.triggers.retain(|(on, _), _| on != table);
                self.policies.retain(|(on, _)| on != table);
            }
            ["call", call, ..] => {
                let table = |text: &str| text.split('\'').nth(1).map(str::to_owned);
                if call.starts_with("openpam.enable_always(") {
                    self.triggers.values_mut().for_each(|(_, always)| *always = true);
                } else if call.starts_with("openpam.audit_rows(") {
                    let function = "record_row_change".to_owned();
                    self.triggers.insert((table(call)?, "audit_row_change".to_owned()), (function, self.rows_always));
                } else if call.starts_with("openpam.isolate_by_tenant(") {
                    self.policies.insert((table(call)?, "tenant_isolation".to_owned()));
                }
            }
            _ => {}
        }
        None
    }

    fn of_migrations() -> Self {
        let mut guards = Self::default();
        db::migrations().for_each(|sql| guards.read(sql));
        guards.triggers.retain(|_, (function, _)| FUNCTIONS.contains(&function.as_str()));
        guards
    }
}

/// A name without what is written right behind it.
fn bare(text: &str) -> &str {
    text.split(['(', ';']).next().unwrap_or_default()
}

/// Adds a finding for each guard that is not as the migrations made it. How many there should be.
pub(super) async fn verify_guards(connection: &mut PgConnection, findings: &mut Findings) -> Result<u64, LedgerError> {
    let guards = Guards::of_migrations();
    let stored = read_all::triggers(connection).await?;
    let there = stored.iter().map(|one| ((one.table.as_str(), one.name.as_str()), one)).collect::<BTreeMap<_, _>>();
    for ((table, name), (function, always)) in &guards.triggers {
        match there.get(&(table.as_str(), name.as_str())) {
            None => findings.add("trigger_missing", format!("the trigger {name} of the table {table} is not there")),
            Some(one) if one.function != *function => {
                findings
                    .add("trigger_replaced", format!("the trigger {name} of the table {table} calls {}", one.function));
            }
            Some(one) if one.enabled != "A" && (*always || one.enabled != "O") => {
                let message = format!("the trigger {name} of the table {table} does not fire in every session");
                findings.add("trigger_disabled", message);
            }
            Some(_) => {}
        }
    }
    let bodies = read_all::functions(connection, &FUNCTIONS.map(str::to_owned)).await?;
    for name in FUNCTIONS {
        let stored = bodies.iter().filter(|(stored, _)| stored.as_str() == name).map(|(_, body)| body);
        if !stored.eq(guards.functions.get(name)) {
            findings.add("function_replaced", format!("the function openpam.{name} is not the one that was migrated"));
        }
    }
    let guarded = guards.triggers.keys().map(|(table, _)| table).collect::<BTreeSet<_>>();
    for (table, policy) in read_all::policies(connection).await? {
        let is_guarded = guarded.contains(&table);
        if is_guarded && !guards.policies.contains(&(table.clone(), policy.clone())) {
            findings.add("policy_added", format!("the policy {policy} of the table {table} is of no migration"));
        }
    }
    for table in read_all::rewritten(connection).await? {
        findings.add("rule_added", format!("a rule rewrites what is said to the table {table}"));
    }
    Ok((guards.triggers.len() + FUNCTIONS.len()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_migrations_make_one_after_the_other_counts() {
        let mut guards = Guards::default();
        guards.read(
            "create function openpam.refuse_change() returns trigger\n language plpgsql as $$\nbegin one; end\n$$;
             create procedure openpam.audit_rows(a regclass) language plpgsql as $$ begin create trigger x on y; end $$;
             call openpam.audit_rows('users', 'user_id');
             create trigger notes_append_only before update or delete on notes -- not on others
                 for each statement execute function openpam.refuse_change();
             create policy own on notes for select using (true);",
        );
        assert_eq!(guards.functions["refuse_change"], "\nbegin one; end\n");
        assert!(guards.triggers.values().all(|(_, always)| !always));
        assert_eq!(guards.triggers.len(), 2, "{:?}", guards.triggers);
        guards.read(
            "create or replace function openpam.refuse_change() returns trigger language plpgsql as $$two$$;
             create or replace procedure openpam.audit_rows(a regclass) language plpgsql as $$ enable always $$;
             drop trigger notes_append_only on notes; call openpam.enable_always();
             call openpam.audit_rows('groups', 'group_id'); drop policy own on notes;",
        );
        assert_eq!(guards.functions["refuse_change"], "two");
        let tables = guards.triggers.keys().map(|(table, _)| table.as_str()).collect::<Vec<_>>();
        assert_eq!(tables, ["groups", "users"]);
        assert!(guards.triggers.values().all(|(_, always)| *always) && guards.policies.is_empty());
    }

    #[test]
    fn the_migrations_guard_the_trail() {
        let guards = Guards::of_migrations();
        for table in ["users", "sessions", "targets", "credentials"] {
            let trigger = &guards.triggers[&(table.to_owned(), "audit_row_change".to_owned())];
            assert_eq!(trigger, &("record_row_change".to_owned(), true), "{table}");
        }
        for table in ["audit_events", "row_changes", "ledger_entries", "ledger_tiles", "ledger_checkpoints"] {
            assert!(guards.triggers.contains_key(&(table.to_owned(), format!("{table}_append_only"))), "{table}");
        }
        assert!(FUNCTIONS.iter().all(|name| guards.functions.contains_key(*name)), "{:?}", guards.functions.keys());
    }
}
