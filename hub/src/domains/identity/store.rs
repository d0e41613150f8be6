//! SQL of people, groups, accounts and sign-ins.

pub(super) mod accounts;
pub(super) mod flows;
pub(super) mod groups;
pub(super) mod sessions;
pub(super) mod sign_in;
pub(super) mod users;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A name of a closed list; the database's checks admit no other, so a miss is a schema mismatch.
fn known<T>(value: Option<T>, column: &'static str) -> Result<T> {
    value.ok_or_else(|| sqlx::Error::ColumnDecode { index: column.into(), source: "is not a known name".into() })
}

fn role_names(roles: &std::collections::BTreeSet<crate::context::Role>) -> Vec<String> {
    roles.iter().map(|role| role.name().to_owned()).collect()
}

fn roles(names: &[String]) -> std::collections::BTreeSet<crate::context::Role> {
    crate::context::Role::set(names.iter().map(String::as_str))
}
