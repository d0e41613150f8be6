//! The closed list of permissions and what each role has.

use std::collections::BTreeSet;

use crate::context::{Principal, Role};

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal: $($role:ident)|*;)*) => {
        /// One thing a principal may be allowed to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Stable name, as in the API and in token scopes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it allows, for a person.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),*).trim_ascii(),)*
                }
            }

            /// The roles that give it.
            pub const fn roles(self) -> &'static [Role] {
                match self {
                    $(Self::$variant => &[$(Role::$role),*],)*
                }
            }
        }
    };
}

permissions! {
    /// Connect to every target, whatever its access groups. Others connect through a group.
    SessionConnectAny = "session.connect_any": Admin;
    /// See the sessions of everybody.
    SessionReadAll = "session.read_all": Admin | Operator | Auditor;
    /// Watch anybody's running session: for who may play its recording, so that nobody sees live what they may
    /// not see afterwards. Whether the person is told is a setting.
    SessionWatch = "session.watch": Admin | Auditor;
    /// Join anybody's running session. Always shown to its person, who alone decides who types.
    SessionJoin = "session.join": Admin | Operator;
    /// End anybody's session.
    SessionTerminate = "session.terminate": Admin | Operator;
    /// Play, export and verify everybody's recordings.
    RecordingPlay = "recording.play": Admin | Auditor;
    /// Play, export and verify the recordings of one's own sessions.
    RecordingPlayOwn = "recording.play_own": Admin | Operator | Auditor;
    /// Put recordings under legal hold, and lift it.
    RecordingHold = "recording.hold": Admin | Auditor;
    /// Delete recordings before their time.
    RecordingPurge = "recording.purge": Admin;
    /// See published events, how they were delivered, and who gets them.
    EventRead = "event.read": Admin | Auditor;
    /// Publish events of one's own.
    EventPublish = "event.publish": Admin;
    /// Choose who gets events, and deliver them again.
    EventManage = "event.manage": Admin;
    /// Read the ledger.
    AuditRead = "audit.read": Admin | Auditor;
    /// See zones, sites, targets and credentials (never secrets).
    InfrastructureRead = "infrastructure.read": Admin | Operator | Auditor;
    /// Create and change zones and sites.
    ZoneManage = "zone.manage": Admin;
    /// Create and change targets, trust host keys, test connections.
    TargetManage = "target.manage": Admin;
    /// Create and change credentials, write secrets to the vault.
    CredentialManage = "credential.manage": Admin;
    /// See people, groups and service accounts.
    IdentityRead = "identity.read": Admin | Auditor;
    /// Create and change people, groups, service accounts and tokens; sign people out.
    IdentityManage = "identity.manage": Admin;
    /// See settings and the state of the system.
    SettingsRead = "settings.read": Admin | Operator | Auditor;
    /// Change settings.
    SettingsManage = "settings.manage": Admin;
}

/// Whether the principal has the permission: by a role, and within its token's scopes.
pub fn permits(principal: &Principal, permission: Permission) -> bool {
    permission.roles().iter().any(|role| principal.roles.contains(role))
        && principal.scopes.as_ref().is_none_or(|scopes| scopes.contains(permission.name()))
}

/// Whether the principal may give these roles to others, or act on who has them: a token that is
/// limited must not make itself, or somebody else, more than it is.
pub fn may_grant<'a>(principal: &Principal, roles: impl IntoIterator<Item = &'a Role>) -> bool {
    let Some(scopes) = &principal.scopes else { return true };
    let roles = roles.into_iter().collect::<Vec<_>>();
    Permission::ALL
        .iter()
        .filter(|permission| roles.iter().any(|role| permission.roles().contains(role)))
        .all(|permission| scopes.contains(permission.name()))
}

/// Every permission the principal has.
pub fn permissions_of(principal: &Principal) -> BTreeSet<Permission> {
    Permission::ALL.iter().copied().filter(|permission| permits(principal, *permission)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Principal;

    #[test]
    fn without_a_role_there_is_no_permission() {
        assert!(permissions_of(&Principal::anonymous("nobody")).is_empty());
    }

    #[test]
    fn a_limited_token_grants_nothing_beyond_its_limits() {
        let mut principal = Principal::system("test");
        principal.roles = [Role::Admin].into();
        assert!(may_grant(&principal, &[Role::Admin]), "without scopes the role decides");
        principal.scopes = Some(["identity.manage".to_owned()].into());
        assert!(may_grant(&principal, &[]));
        for role in [Role::Admin, Role::Operator, Role::Auditor] {
            assert!(!may_grant(&principal, &[role]), "{role:?}");
        }
        let of_auditor = Permission::ALL.iter().filter(|permission| permission.roles().contains(&Role::Auditor));
        principal.scopes = Some(of_auditor.map(|permission| permission.name().to_owned()).collect());
        assert!(may_grant(&principal, &[Role::Auditor]) && !may_grant(&principal, &[Role::Auditor, Role::Admin]));
    }

    #[test]
    fn a_scope_limits_a_role_and_never_widens_it() {
        let mut principal = Principal::system("test");
        principal.roles = [Role::Auditor].into();
        principal.scopes = Some(["audit.read".to_owned(), "target.manage".to_owned()].into());
        assert_eq!(permissions_of(&principal).into_iter().collect::<Vec<_>>(), [Permission::AuditRead]);
    }
}
