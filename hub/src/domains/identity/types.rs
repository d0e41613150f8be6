//! People, groups, accounts, sign-ins: plain values.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use openpam_ids::{ApiTokenId, AuthSessionId, GroupId, ServiceAccountId, UserId};

use crate::context::Role;

/// Characters a password must have.
pub const MIN_PASSWORD_LENGTH: usize = 12;
/// Characters a password may have.
pub const MAX_PASSWORD_LENGTH: usize = 256;

/// Where an account or a group comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Made here.
    Local,
    /// From the OpenID Connect provider.
    Oidc,
    /// From LDAP or Active Directory.
    Ldap,
}

impl Source {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Oidc => "oidc",
            Self::Ldap => "ldap",
        }
    }

    /// The source of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Local, Self::Oidc, Self::Ldap].into_iter().find(|source| source.name() == name)
    }
}

/// A person as administrators see them.
#[derive(Debug, Clone)]
pub struct User {
    /// Identifier.
    pub id: UserId,
    /// Where the account comes from.
    pub source: Source,
    /// Sign-in name.
    pub username: String,
    /// Name for people.
    pub display_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether it may sign in.
    pub enabled: bool,
    /// Until when failed sign-ins keep a local account from being tried again; `None` when they do not.
    pub locked_until: Option<DateTime<Utc>>,
    /// Roles given directly.
    pub roles: BTreeSet<Role>,
    /// Direct roles and those of groups.
    pub effective_roles: BTreeSet<Role>,
    /// Groups.
    pub groups: Vec<GroupId>,
    /// The last sign-in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// When the account was made here.
    pub created_at: DateTime<Utc>,
}

/// Fields of a new local person, validated.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Sign-in name.
    pub username: String,
    /// Name for people.
    pub display_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Roles given directly.
    pub roles: BTreeSet<Role>,
    /// Local groups.
    pub groups: Vec<GroupId>,
}

/// A change of a person; absent fields stay.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Sign-in name (local accounts).
    pub username: Option<String>,
    /// Name for people (local accounts).
    pub display_name: Option<String>,
    /// E-mail address; `Some(None)` removes it (local accounts).
    pub email: Option<Option<String>>,
    /// Whether it may sign in.
    pub enabled: Option<bool>,
    /// Roles given directly.
    pub roles: Option<BTreeSet<Role>>,
    /// Local groups; those of the directory stay.
    pub groups: Option<Vec<GroupId>>,
}

/// A set of people.
#[derive(Debug, Clone)]
pub struct Group {
    /// Identifier.
    pub id: GroupId,
    /// Name; a directory group is called by its external id until an administrator names it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where it comes from.
    pub source: Source,
    /// Its id in the directory.
    pub external_id: Option<String>,
    /// Roles its members have.
    pub roles: BTreeSet<Role>,
    /// How many members it has.
    pub member_count: i64,
}

/// A principal with API tokens.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Identifier.
    pub id: ServiceAccountId,
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether its tokens are accepted.
    pub enabled: bool,
    /// Roles.
    pub roles: BTreeSet<Role>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Fields of a new group, validated.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where it comes from.
    pub source: Source,
    /// Its id in the directory; local groups have none.
    pub external_id: Option<String>,
    /// Roles of a local group.
    pub roles: BTreeSet<Role>,
}

/// A change of a group; absent fields stay.
#[derive(Debug, Clone, Default)]
pub struct GroupChange {
    /// Name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Roles of a local group.
    pub roles: Option<BTreeSet<Role>>,
}

/// Fields of a new service account, validated.
#[derive(Debug, Clone)]
pub struct NewServiceAccount {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Roles.
    pub roles: BTreeSet<Role>,
}

/// A change of a service account; absent fields stay.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccountChange {
    /// Name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether its tokens are accepted.
    pub enabled: Option<bool>,
    /// Roles.
    pub roles: Option<BTreeSet<Role>>,
}

/// An API token without its secret.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Identifier.
    pub id: ApiTokenId,
    /// Name.
    pub name: String,
    /// Permissions it is limited to; empty means all of the account.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// The last use, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its first characters, to recognise it.
    pub prefix: String,
}

/// A browser that is signed in, as people see it.
#[derive(Debug, Clone)]
pub struct AuthSession {
    /// Identifier.
    pub id: AuthSessionId,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// The last request, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
    /// Where it was begun.
    pub client_ip: Option<IpNetwork>,
    /// The browser's own description.
    pub user_agent: String,
}

/// A person as the directory describes them now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryUser {
    /// Stable for the person, never used again: `oid` of Entra ID, `sub` elsewhere.
    pub external_id: String,
    /// The directory's tenant, by which [`external_id`](Self::external_id) is unique: `tid` of Entra ID, in lower case;
    /// empty elsewhere.
    pub external_tid: String,
    /// Sign-in name.
    pub username: String,
    /// Name for people.
    pub display_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Ids of groups. Absent in the token means none.
    pub groups: Vec<String>,
    /// The token refers to the groups instead of listing them.
    pub groups_overage: bool,
    /// The provider's session.
    pub provider_session: Option<String>,
}

/// Whether a password is acceptable for `username`: length only (NIST SP 800-63B §3.1.1.2), and not
/// the name itself.
pub fn acceptable_password(password: &str, username: &str) -> bool {
    let length = password.chars().count();
    (MIN_PASSWORD_LENGTH..=MAX_PASSWORD_LENGTH).contains(&length)
        && password.len() <= MAX_PASSWORD_LENGTH * 4
        && !password.eq_ignore_ascii_case(username)
}

/// Whether a browser may be sent to `path` after the sign-in: a path of this site, nothing else.
pub fn is_local_path(path: &str) -> bool {
    path.len() <= 2_000
        && path.starts_with('/')
        && !path[1..].starts_with(['/', '\\'])
        && !path.contains(|character: char| character.is_control() || character == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_judged_by_its_characters() {
        assert!(!acceptable_password("elevenchars", "bob"));
        assert!(acceptable_password("twelve chars", "bob"));
        assert!(acceptable_password(&"ä".repeat(256), "bob"));
        assert!(!acceptable_password(&"a".repeat(257), "bob"));
        assert!(!acceptable_password("Administrator", "administrator"));
    }

    #[test]
    fn only_paths_of_this_site_are_returned_to() {
        for path in ["/", "/targets?q=a#b", "/sessions/1"] {
            assert!(is_local_path(path), "{path}");
        }
        for path in ["", "targets", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/a\\b"] {
            assert!(!is_local_path(path), "{path}");
        }
    }
}
