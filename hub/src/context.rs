//! What every request carries: who asks, in which tenant, under which request id; and the clock and
//! identifiers, which are parameters everywhere.

use std::{collections::BTreeSet, fmt, net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use openpam_ids::{AuthSessionId, GroupId, ServiceAccountId, TenantId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Source of the current time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Now, in UTC.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Makes identifiers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ids;

impl Ids {
    /// A fresh UUIDv7 of any kind.
    #[expect(clippy::disallowed_methods, reason = "the one place that makes identifiers")]
    pub fn fresh<T: From<Uuid>>(self) -> T {
        T::from(Uuid::now_v7())
    }
}

/// A named set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything, and connect everywhere.
    Admin,
    /// Sees and ends every session, reads the infrastructure.
    Operator,
    /// Reads every session, the audit trail and the infrastructure.
    Auditor,
}

impl Role {
    /// The role's name in the database, the API and the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admin, Self::Operator, Self::Auditor].into_iter().find(|role| role.name() == name)
    }

    /// The known roles among `names`; the database and the configuration allow no others.
    pub fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<Self> {
        names.into_iter().filter_map(Self::from_name).collect()
    }
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A person.
    User(UserId),
    /// A program with an API token.
    ServiceAccount(ServiceAccountId),
    /// The hub itself: reconcilers, start-up, the command line.
    System,
    /// Someone not signed in (a failed sign-in).
    Anonymous,
}

impl Actor {
    /// The kind's name in the audit trail.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::ServiceAccount(_) => "service_account",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }

    /// The identifier, where there is one.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id.as_uuid()),
            Self::ServiceAccount(id) => Some(id.as_uuid()),
            Self::System | Self::Anonymous => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            Some(id) => write!(formatter, "{}:{id}", self.kind()),
            None => formatter.write_str(self.kind()),
        }
    }
}

/// The principal behind a request, with what it may do right now.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Who.
    pub actor: Actor,
    /// Name for people and the audit trail.
    pub name: String,
    /// Effective roles: direct ones and those of groups.
    pub roles: BTreeSet<Role>,
    /// Groups the principal is a member of.
    pub groups: Vec<GroupId>,
    /// The browser sign-in this request came with, if it did.
    pub auth_session: Option<AuthSessionId>,
    /// Permissions an API token is limited to; `None` for no limit.
    pub scopes: Option<BTreeSet<String>>,
    /// When the API token ends.
    pub token_expires_at: Option<DateTime<Utc>>,
}

impl Principal {
    /// The hub itself.
    pub fn system(name: &str) -> Self {
        Self::without_rights(Actor::System, name)
    }

    /// Someone not signed in, called `name` for the audit trail.
    pub fn anonymous(name: &str) -> Self {
        Self::without_rights(Actor::Anonymous, name)
    }

    fn without_rights(actor: Actor, name: &str) -> Self {
        Self {
            actor,
            name: name.to_owned(),
            roles: BTreeSet::new(),
            groups: Vec::new(),
            auth_session: None,
            scopes: None,
            token_expires_at: None,
        }
    }

    /// The person, unless a program or the hub acts.
    pub fn user_id(&self) -> Option<UserId> {
        match self.actor {
            Actor::User(id) => Some(id),
            _ => None,
        }
    }
}

/// The `Idempotency-Key` that a request has claimed: its row is completed with what the request does.
#[derive(Debug, Clone)]
pub struct RequestClaim {
    /// Whose key.
    pub(crate) principal: Uuid,
    /// The key as it stands in the table.
    pub(crate) key: Arc<str>,
}

/// What a use case needs to know about the request it serves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// The tenant; row-level security enforces it in every transaction.
    pub tenant_id: TenantId,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// In every log line and every audit event of this request.
    pub request_id: Arc<str>,
    /// The client's address as far as the trusted proxies tell it.
    pub client_ip: Option<IpAddr>,
    /// The key of this request, where it carries one; every transaction's commit notes that something was done.
    pub claim: Option<RequestClaim>,
}

impl Context {
    /// A context for work the hub does by itself; `task` names it in the audit trail.
    pub fn system(tenant_id: TenantId, task: &'static str) -> Self {
        Self {
            tenant_id,
            principal: Arc::new(Principal::system(task)),
            request_id: Arc::from(task),
            client_ip: None,
            claim: None,
        }
    }
}
