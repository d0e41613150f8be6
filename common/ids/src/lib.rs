//! One identifier type per kind of resource, so that a user can never stand where a target belongs.
//!
//! Every identifier is a UUIDv7 (RFC 9562 §5.7): sortable by creation time. Making one needs the
//! current time and randomness, which only the composition root has; see `openpam_hub::context::Ids`.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: expected a UUID")]
pub struct ParseIdError {
    kind: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to name this kind of resource.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self).map_err(|_| ParseIdError { kind: stringify!($name) })
            }
        }
    )*};
}

ids! {
    /// A tenant: the boundary of isolation.
    TenantId,
    /// A person.
    UserId,
    /// A set of people.
    GroupId,
    /// A principal with API tokens.
    ServiceAccountId,
    /// One API token of a service account.
    ApiTokenId,
    /// A browser that is signed in.
    AuthSessionId,
    /// A sign-in under way at the identity provider.
    OidcFlowId,
    /// A network.
    ZoneId,
    /// What an installer targets.
    SiteId,
    /// A machine to connect to.
    TargetId,
    /// A trusted SSH host key of a target.
    HostKeyId,
    /// A way to log in to a target.
    CredentialId,
    /// A key of recordings.
    RecordingKeyId,
    /// A key that signs the ledger's checkpoints.
    LedgerKeyId,
    /// One connection of a user to a target.
    SessionId,
    /// Somebody who watches or joins a session, from when they come until they leave.
    ParticipantId,
    /// One entry of the audit trail.
    AuditEventId,
    /// A running hub process.
    HubId,
    /// A fact that was published to others.
    EventId,
    /// One event on its way to one subscriber.
    DeliveryId,
    /// An address that gets events.
    WebhookId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_text_and_json() {
        let text = "0193e6a0-0000-7000-8000-000000000001";
        let id: UserId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(Uuid::from(id).to_string(), text);
    }

    #[test]
    fn a_text_that_is_no_uuid_names_the_kind_it_should_be() {
        assert_eq!("42".parse::<TargetId>().unwrap_err().to_string(), "not a TargetId: expected a UUID");
    }
}
