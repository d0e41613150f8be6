//! What guards the trail in the database: triggers, the functions that they call, policies. Whoever has the database can
//! switch them off or put others in their place; a verification says so. What there should be is read from the migrations
//! that this program brings, not from the database, and compared by what it does, not by its name.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::{
    error::LedgerError,
    store::guards::{self as stored, StoredFunction, StoredPolicy, StoredTrigger},
    verify::Findings,
};
use crate::db;

/// Functions of the triggers that guard: a table with one of them is guarded.
const FUNCTIONS: [&str; 5] =
    ["record_row_change", "refuse_change", "refuse_change_but_erasure", "erase_contents_only", "ledger_heads_grow"];
/// Functions of one expression, whose text the database gives back: who acts, in which tenant, under which request.
const EXPRESSIONS: [&str; 3] = ["current_tenant", "current_actor", "current_request"];

/// Bits of `pg_trigger.tgtype`.
const ROW: i16 = 1;
const BEFORE: i16 = 2;
const EVENTS: [(&str, i16); 4] = [("insert", 4), ("delete", 8), ("update", 16), ("truncate", 32)];

/// A trigger, as far as it matters what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trigger {
    function: String,
    /// When it fires, as `pg_trigger.tgtype`.
    kind: i16,
    arguments: Vec<String>,
    /// It fires under a condition, or for some columns.
    conditional: bool,
    /// It fires whatever the session says of replication.
    always: bool,
}

/// A function, likewise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Function {
    language: String,
    /// The body between dollars, byte by byte; of an expression its simplified text; of others nothing.
    body: Option<String>,
    definer: bool,
    search_path: String,
}

/// A policy, likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    permissive: bool,
    command: String,
    /// The owner is `current_user`.
    roles: BTreeSet<String>,
    using: String,
    check: String,
}

/// What the migrations make of it. Triggers and policies by table and name, functions by name.
#[derive(Debug, Default)]
struct Guards {
    triggers: BTreeMap<(String, String), Trigger>,
    functions: BTreeMap<String, Function>,
    policies: BTreeMap<(String, String), Policy>,
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
                    if let Some(function) = self.functions.get_mut(&name) {
                        function.body = Some(part.to_owned());
                    }
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
        let replaces = words.get(1..3) == Some(&["or", "replace"]);
        let words = words.iter().copied().enumerate().filter(|(at, _)| !(replaces && matches!(at, 1 | 2)));
        let words = words.map(|(_, word)| word).collect::<Vec<_>>();
        let behind = |word: &str| words.iter().position(|one| *one == word).and_then(|at| words.get(at + 1)).copied();
        match *words.as_slice() {
            ["create", "function" | "procedure", signature, ..] => {
                let name = in_schema(signature)?;
                self.functions.insert(name.clone(), function(&name, &words));
                return Some(name);
            }
            ["alter", "function", signature, ..] => {
                let function = self.functions.get_mut(&in_schema(signature)?)?;
                function.search_path = search_path(&words).unwrap_or_else(|| function.search_path.clone());
            }
            ["drop", "function" | "procedure", signature, ..] => drop(self.functions.remove(&in_schema(signature)?)),
            ["create", "trigger", trigger, ..] => {
                let function = behind("function").and_then(in_schema)?;
                let until = words.iter().position(|word| *word == "on")?;
                let events = EVENTS.iter().filter(|(event, _)| words[..until].contains(event));
                let kind = events.map(|(_, bit)| bit).sum::<i16>()
                    + if words.contains(&"before") { BEFORE } else { 0 }
                    + if words.windows(3).any(|words| words == ["for", "each", "row"]) { ROW } else { 0 };
                let call = words.join(" ");
                let arguments = call.rsplit_once(" function ").map(|(_, call)| quoted(call)).unwrap_or_default();
                let conditional = words.contains(&"when") || words[..until].contains(&"of");
                let made = Trigger { function, kind, arguments, conditional, always: false };
                self.triggers.insert((bare(behind("on")?).to_owned(), trigger.to_owned()), made);
            }
            ["drop", "trigger", trigger, "on", table, ..] => {
                self.triggers.remove(&(table.to_owned(), trigger.to_owned()));
            }
            ["create", "policy", name, ..] => {
                self.policies.insert((bare(behind("on")?).to_owned(), name.to_owned()), policy(&words));
            }
            ["drop", "policy", policy, "on", table, ..] => {
                self.policies.remove(&(table.to_owned(), policy.to_owned()));
            }
            ["drop", "table", table, ..] => {
                self.triggers.retain(|(on, _), _| on != table);
                self.policies.retain(|(on, _), _| on != table);
            }
            ["call", call, ..] => {
                let mut given = quoted(&words.join(" ")).into_iter();
                if call.starts_with("openpam.enable_always(") {
                    let guards = self.triggers.values_mut().filter(|made| is_guard(made));
                    guards.for_each(|trigger| trigger.always = true);
                } else if call.starts_with("openpam.audit_rows(") {
                    let made = Trigger {
                        function: "record_row_change".to_owned(),
                        kind: ROW + EVENTS[..3].iter().map(|(_, bit)| bit).sum::<i16>(),
                        conditional: false,
                        always: self.rows_always,
                        arguments: Vec::new(),
                    };
                    let key = (given.next()?, "audit_row_change".to_owned());
                    self.triggers.insert(key, Trigger { arguments: given.collect(), ..made });
                } else if call.starts_with("openpam.isolate_by_tenant(") {
                    let own = "tenant_id = openpam.current_tenant()";
                    let made = format!("create policy x on y using ({own}) with check ({own})");
                    let made = policy(&made.split_whitespace().collect::<Vec<_>>());
                    self.policies.insert((given.next()?, "tenant_isolation".to_owned()), made);
                }
            }
            _ => {}
        }
        None
    }

    fn of_migrations() -> Self {
        let mut guards = Self::default();
        db::migrations().for_each(|sql| guards.read(sql));
        guards
    }

    /// Tables that something guards.
    fn tables(&self) -> BTreeSet<&str> {
        self.triggers.iter().filter(|(_, made)| is_guard(made)).map(|((table, _), _)| table.as_str()).collect()
    }
}

fn is_guard(trigger: &Trigger) -> bool {
    FUNCTIONS.contains(&trigger.function.as_str())
}

/// A name without what is written right behind it.
fn bare(text: &str) -> &str {
    text.split(['(', ';']).next().unwrap_or_default()
}

/// The name of what is in the schema of functions.
fn in_schema(text: &str) -> Option<String> {
    text.strip_prefix("openpam.").map(|text| bare(text).to_owned())
}

/// The texts in quotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

/// An expression without what PostgreSQL adds when it gives one back: casts of texts, parentheses, spaces.
fn simplified(expression: &str) -> String {
    let text = expression.to_lowercase().replace("::text", "");
    text.chars().filter(|character| !character.is_whitespace() && !matches!(character, '(' | ')')).collect()
}

/// What follows `set search_path =`.
fn search_path(words: &[&str]) -> Option<String> {
    let at = words.iter().position(|word| *word == "search_path")?;
    let path = words.iter().skip(at + 2).take_while(|word| !matches!(**word, "as" | "return" | "begin"));
    Some(path.copied().collect())
}

/// The function of a statement, up to its body.
fn function(name: &str, words: &[&str]) -> Function {
    let language = words.iter().position(|word| *word == "language").and_then(|at| words.get(at + 1));
    let text = words.iter().position(|word| *word == "return").map(|at| words[at..].join(" "));
    Function {
        language: language.copied().unwrap_or_default().to_owned(),
        body: text.filter(|_| EXPRESSIONS.contains(&name)).map(|text| simplified(&text)),
        definer: words.contains(&"definer"),
        search_path: search_path(words).unwrap_or_default(),
    }
}

/// The policy of a statement.
fn policy(words: &[&str]) -> Policy {
    let text = words.join(" ");
    let behind = |word: &str| words.iter().position(|one| *one == word).and_then(|at| words.get(at + 1)).copied();
    let (head, check) = text.split_once(" with check ").unwrap_or((&text, ""));
    let using = head.split_once(" using ").map(|(_, using)| using).unwrap_or_default();
    Policy {
        permissive: !words.contains(&"restrictive"),
        command: behind("for").unwrap_or("all").to_owned(),
        roles: BTreeSet::from([behind("to").unwrap_or("public").to_owned()]),
        using: simplified(using),
        check: simplified(check),
    }
}

impl From<StoredTrigger> for Trigger {
    fn from(stored: StoredTrigger) -> Self {
        let arguments = stored.arguments.split(|byte| *byte == 0);
        let mut arguments = arguments.map(|text| String::from_utf8_lossy(text).into_owned()).collect::<Vec<_>>();
        // Each ends with a zero.
        arguments.pop();
        let StoredTrigger { function, kind, conditional, enabled, .. } = stored;
        Self { function, kind, arguments, conditional, always: enabled == "A" }
    }
}

impl From<StoredPolicy> for Policy {
    fn from(stored: StoredPolicy) -> Self {
        Self {
            permissive: stored.permissive,
            command: stored.command,
            roles: stored.roles.into_iter().collect(),
            using: simplified(&stored.using),
            check: simplified(&stored.check),
        }
    }
}

impl From<StoredFunction> for Function {
    fn from(stored: StoredFunction) -> Self {
        let body = match stored.expression {
            None => Some(stored.body),
            Some(text) => EXPRESSIONS.contains(&stored.name.as_str()).then(|| simplified(&text)),
        };
        let settings = stored.settings.chars().filter(|character| !character.is_whitespace()).collect::<String>();
        let search_path = match settings.strip_prefix("search_path=") {
            Some(path) => path.to_owned(),
            None => settings,
        };
        Self { language: stored.language, body, definer: stored.definer, search_path }
    }
}

/// Tables whose rows the leader changes; to all others of the ledger it only adds.
const CHANGED: [&str; 2] = ["ledger_heads", "ledger_anchors"];

/// Adds a finding for each guard that is not as the migrations made it, and for each right that neither they nor
/// `openpam migrate` gave, where the ledger is written by that role. How many guards there should be.
pub(super) async fn verify_guards(
    connection: &mut PgConnection,
    leader: &str,
    findings: &mut Findings,
) -> Result<u64, LedgerError> {
    let guards = Guards::of_migrations();
    let guarded = guards.tables();
    let triggers = verify_triggers(connection, &guards, &guarded, findings).await?;
    verify_functions(connection, &guards, findings).await?;
    let policies = verify_policies(connection, &guards, &guarded, findings).await?;
    for table in stored::rewritten(connection).await? {
        findings.add("rule_added", format!("a rule rewrites what is said to the table {table}"));
    }
    for stored::Right { table, role, right } in stored::rights(connection).await? {
        let is_leaders = table.starts_with("ledger_") && role == leader;
        let is_given = is_leaders && (right == "insert" || right == "update" && CHANGED.contains(&table.as_str()));
        if !is_given {
            findings.add("right_added", format!("{role} may {right} rows of the table {table}"));
        }
    }
    Ok((triggers + guards.functions.len() + policies) as u64)
}

async fn verify_triggers(
    connection: &mut PgConnection,
    guards: &Guards,
    guarded: &BTreeSet<&str>,
    findings: &mut Findings,
) -> Result<usize, LedgerError> {
    let mut there = BTreeMap::new();
    for one in stored::triggers(connection).await?.into_iter().filter(|one| guarded.contains(one.table.as_str())) {
        let is_off = !matches!(one.enabled.as_str(), "A" | "O");
        there.insert((one.table.clone(), one.name.clone()), (is_off, Trigger::from(one)));
    }
    let expected = guards.triggers.iter().filter(|((table, _), _)| guarded.contains(table.as_str()));
    let expected = expected.collect::<BTreeMap<_, _>>();
    for (key, trigger) in &expected {
        let (table, name) = key;
        let Some((is_off, stored)) = there.remove(*key) else {
            findings.add("trigger_missing", format!("the trigger {name} of the table {table} is not there"));
            continue;
        };
        if stored.function != trigger.function {
            let message = format!("the trigger {name} of the table {table} calls {}", stored.function);
            findings.add("trigger_replaced", message);
        } else if (Trigger { always: trigger.always, ..stored.clone() }) != **trigger {
            let message =
                format!("the trigger {name} of the table {table} fires for other changes, or says other things");
            findings.add("trigger_replaced", message);
        }
        if is_off || (trigger.always && !stored.always) {
            let message = format!("the trigger {name} of the table {table} does not fire in every session");
            findings.add("trigger_disabled", message);
        }
    }
    for (table, name) in there.keys() {
        findings.add("trigger_added", format!("the trigger {name} of the table {table} is of no migration"));
    }
    Ok(expected.len())
}

async fn verify_functions(
    connection: &mut PgConnection,
    guards: &Guards,
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    let mut there = BTreeMap::<String, Vec<(bool, Function)>>::new();
    for one in stored::functions(connection).await? {
        there.entry(one.name.clone()).or_default().push((one.owned, one.into()));
    }
    for (name, function) in &guards.functions {
        // Of some there are several, for hubs of before: what the last of them is, all are.
        let found = there.remove(name).unwrap_or_default();
        if found.is_empty() || !found.iter().all(|(owned, found)| *owned && found == function) {
            findings.add("function_replaced", format!("the function openpam.{name} is not the one that was migrated"));
        }
    }
    for name in there.keys() {
        findings.add("function_added", format!("the function openpam.{name} is of no migration"));
    }
    Ok(())
}

async fn verify_policies(
    connection: &mut PgConnection,
    guards: &Guards,
    guarded: &BTreeSet<&str>,
    findings: &mut Findings,
) -> Result<usize, LedgerError> {
    let mut there = BTreeMap::new();
    for one in stored::policies(connection).await?.into_iter().filter(|one| guarded.contains(one.table.as_str())) {
        there.insert((one.table.clone(), one.name.clone()), Policy::from(one));
    }
    let expected = guards.policies.iter().filter(|((table, _), _)| guarded.contains(table.as_str()));
    let expected = expected.collect::<BTreeMap<_, _>>();
    for (key, policy) in &expected {
        let (table, name) = key;
        match there.remove(*key) {
            None => findings.add("policy_missing", format!("the policy {name} of the table {table} is not there")),
            Some(stored) if stored != **policy => {
                findings.add("policy_replaced", format!("the policy {name} of the table {table} lets see other rows"));
            }
            Some(_) => {}
        }
    }
    for (table, name) in there.keys() {
        findings.add("policy_added", format!("the policy {name} of the table {table} is of no migration"));
    }
    let secured = expected.keys().map(|(table, _)| table.as_str()).collect::<BTreeSet<_>>();
    for table in stored::unsecured(connection).await?.iter().filter(|table| secured.contains(table.as_str())) {
        findings.add("row_security_off", format!("row-level security is not enabled and forced on the table {table}"));
    }
    Ok(expected.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(table: &str, name: &str) -> (String, String) {
        (table.to_owned(), name.to_owned())
    }

    #[test]
    fn what_migrations_make_one_after_the_other_counts() {
        let mut guards = Guards::default();
        guards.read(
            "create function openpam.refuse_change() returns trigger\n language plpgsql as $$\nbegin one; end\n$$;
             create procedure openpam.audit_rows(a regclass) language plpgsql as $$ begin create trigger x on y; end $$;
             call openpam.audit_rows('users', 'user_id', 'password_hash');
             create trigger notes_append_only before update or delete on notes -- not on others
                 for each statement execute function openpam.refuse_change();
             create policy own on notes for select to current_user using (true);",
        );
        assert_eq!(guards.functions["refuse_change"].body.as_deref(), Some("\nbegin one; end\n"));
        assert!(guards.triggers.values().all(|trigger| !trigger.always));
        assert_eq!(guards.triggers.len(), 2, "{:?}", guards.triggers);
        let images = &guards.triggers[&key("users", "audit_row_change")];
        assert_eq!((images.kind, &images.arguments[..]), (29, &["user_id".to_owned(), "password_hash".to_owned()][..]));
        assert_eq!(guards.triggers[&key("notes", "notes_append_only")].kind, 26, "before update or delete");
        let own = &guards.policies[&key("notes", "own")];
        assert_eq!((own.command.as_str(), own.using.as_str(), own.check.as_str()), ("select", "true", ""));
        guards.read(
            "create or replace function openpam.refuse_change() returns trigger language plpgsql security definer
                 set search_path = pg_catalog, public as $$two$$;
             create or replace procedure openpam.audit_rows(a regclass) language plpgsql as $$ enable always $$;
             drop trigger notes_append_only on notes; call openpam.enable_always();
             alter function openpam.refuse_change() set search_path = pg_catalog, pg_temp;
             call openpam.audit_rows('groups', 'group_id'); drop policy own on notes;",
        );
        let refuse = &guards.functions["refuse_change"];
        assert_eq!((refuse.body.as_deref(), refuse.definer), (Some("two"), true));
        assert_eq!(refuse.search_path, "pg_catalog,pg_temp");
        let tables = guards.triggers.keys().map(|(table, _)| table.as_str()).collect::<Vec<_>>();
        assert_eq!(tables, ["groups", "users"]);
        assert!(guards.triggers.values().all(|trigger| trigger.always) && guards.policies.is_empty());
    }

    #[test]
    fn an_expression_is_the_same_however_it_is_written() {
        let stored = "(NULLIF(current_setting('openpam.tenant_id'::text, true), ''::text))::uuid";
        assert_eq!(simplified(stored), simplified("nullif(current_setting('openpam.tenant_id', true), '')::uuid"));
        assert_ne!(simplified(stored), simplified("nullif(current_setting('openpam.tenant', true), '')::uuid"));
    }

    #[test]
    fn the_migrations_guard_the_trail() {
        let guards = Guards::of_migrations();
        for table in ["users", "sessions", "targets", "credentials"] {
            let trigger = &guards.triggers[&key(table, "audit_row_change")];
            assert_eq!((trigger.function.as_str(), trigger.always), ("record_row_change", true), "{table}");
        }
        for table in ["audit_events", "row_changes", "ledger_entries", "ledger_tiles", "ledger_checkpoints"] {
            assert!(guards.triggers.contains_key(&key(table, &format!("{table}_append_only"))), "{table}");
            assert!(guards.policies.contains_key(&key(table, "tenant_isolation")), "{table}");
        }
        let has_body = |name: &&str| guards.functions.get(*name).is_some_and(|function| function.body.is_some());
        assert!(FUNCTIONS.iter().chain(&EXPRESSIONS).all(has_body), "{:?}", guards.functions.keys());
    }
}
