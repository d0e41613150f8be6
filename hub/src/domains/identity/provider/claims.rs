//! The claims of an identity token, as Microsoft Entra ID and other providers send them.

use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, Client, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IdTokenClaims, IdTokenFields, ProviderMetadata, StandardErrorResponse, StandardTokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{super::types::DirectoryUser, IdentityError};

/// Groups of one person the hub takes over; the directory itself stops at 200.
const MAX_GROUPS: usize = 1_000;
/// Characters of a name, an id, an address.
const MAX_TEXT: usize = 200;

/// What the discovery document says beyond the library's own fields.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct ExtraMetadata {
    /// RP-Initiated Logout 1.0.
    pub(super) end_session_endpoint: Option<Url>,
    /// RFC 9207.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for ExtraMetadata {}

pub(super) type Metadata = ProviderMetadata<
    ExtraMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Claims beyond the standard ones.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(super) struct DirectoryClaims {
    /// Entra ID: the directory tenant.
    tid: Option<String>,
    /// Entra ID: the person, the same in every application.
    oid: Option<String>,
    /// Ids of the person's groups.
    #[serde(default)]
    groups: Option<Vec<String>>,
    /// Claims that are elsewhere; `groups` when there are too many of them.
    #[serde(default, rename = "_claim_names")]
    claim_names: Option<Map<String, Value>>,
    /// The provider's own session.
    sid: Option<String>,
}

impl AdditionalClaims for DirectoryClaims {}

pub(super) type IdToken = openidconnect::IdToken<
    DirectoryClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

pub(super) type OidcTokenResponse = StandardTokenResponse<
    IdTokenFields<
        DirectoryClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

pub(super) type OidcClient = Client<
    DirectoryClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    OidcTokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Claims whose signature, issuer, audience, times and nonce hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Verified {
    subject: String,
    name: Option<String>,
    preferred_username: Option<String>,
    email: Option<String>,
    directory: DirectoryClaims,
}

impl From<&IdTokenClaims<DirectoryClaims, CoreGenderClaim>> for Verified {
    fn from(claims: &IdTokenClaims<DirectoryClaims, CoreGenderClaim>) -> Self {
        Self {
            subject: claims.subject().to_string(),
            name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()),
            preferred_username: claims.preferred_username().map(|name| name.to_string()),
            email: claims.email().map(|email| email.to_string()),
            directory: claims.additional_claims().clone(),
        }
    }
}

impl Verified {
    /// Checks the directory tenant and takes over what the hub uses.
    pub(super) fn admit(self, allowed_tids: &[String]) -> Result<DirectoryUser, IdentityError> {
        let directory = self.directory;
        let admitted = match &directory.tid {
            Some(tid) => allowed_tids.iter().any(|allowed| allowed.eq_ignore_ascii_case(tid)),
            None => allowed_tids.is_empty(),
        };
        if !admitted {
            return Err(IdentityError::TenantNotAllowed);
        }
        // Without `oid` a token of Entra ID has only a `sub` that differs by application.
        let external_tid = directory.tid.as_deref().unwrap_or_default().to_ascii_lowercase();
        let external_id = match (directory.tid, directory.oid) {
            (Some(_), Some(oid)) => oid,
            (Some(_), None) => {
                return Err(IdentityError::IdTokenInvalid("it has no oid: add the scope profile".to_owned()));
            }
            (None, _) => self.subject,
        };
        let groups_overage = directory.claim_names.is_some_and(|names| names.contains_key("groups"));
        let mut groups = directory.groups.unwrap_or_default();
        groups.retain(|group| !group.is_empty() && group.chars().count() <= MAX_TEXT);
        groups.sort_unstable();
        groups.dedup();
        groups.truncate(MAX_GROUPS);
        if groups_overage {
            groups.clear();
        }
        let username = text(self.preferred_username).or_else(|| text(self.email.clone()));
        let username = username.unwrap_or_else(|| external_id.chars().take(MAX_TEXT).collect());
        Ok(DirectoryUser {
            external_id,
            external_tid,
            display_name: text(self.name).unwrap_or_else(|| username.clone()),
            username,
            email: text(self.email),
            groups,
            groups_overage,
            provider_session: text(directory.sid),
        })
    }
}

/// A claim worth keeping, cut to what the database holds.
fn text(claim: Option<String>) -> Option<String> {
    let cut: String = claim?.trim().chars().filter(|character| !character.is_control()).take(MAX_TEXT).collect();
    (!cut.is_empty()).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entra(tid: &str) -> Verified {
        Verified {
            subject: "pairwise".to_owned(),
            preferred_username: Some("ada@corp.test".to_owned()),
            directory: DirectoryClaims {
                tid: Some(tid.to_owned()),
                oid: Some("oid-1".to_owned()),
                groups: Some(vec!["b".to_owned(), "a".to_owned(), "a".to_owned()]),
                ..DirectoryClaims::default()
            },
            ..Verified::default()
        }
    }

    fn tids(text: &str) -> Vec<String> {
        text.split(',').filter(|tid| !tid.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn the_directory_tenant_must_be_allowed() {
        assert!(entra("T1").admit(&tids("t1,t2")).is_ok());
        assert!(matches!(entra("t3").admit(&tids("t1")), Err(IdentityError::TenantNotAllowed)));
        assert!(matches!(entra("t1").admit(&[]), Err(IdentityError::TenantNotAllowed)));
        let plain = Verified { subject: "sub-1".to_owned(), ..Verified::default() };
        assert!(matches!(plain.clone().admit(&tids("t1")), Err(IdentityError::TenantNotAllowed)));
        assert_eq!(plain.admit(&[]).unwrap().external_id, "sub-1");
    }

    #[test]
    fn the_person_is_known_by_oid_and_groups_are_a_set() {
        let user = entra("t1").admit(&tids("t1")).unwrap();
        assert_eq!((user.external_id.as_str(), user.username.as_str()), ("oid-1", "ada@corp.test"));
        assert_ne!(user.external_tid, "");
        assert_eq!(user.display_name, "ada@corp.test");
        assert_eq!(user.groups, ["a", "b"]);
        let mut without = entra("t1");
        without.directory.oid = None;
        assert!(matches!(without.admit(&tids("t1")), Err(IdentityError::IdTokenInvalid(_))));
    }

    #[test]
    fn an_absent_claim_means_no_groups_and_a_reference_means_overage() {
        let mut claims = entra("t1");
        claims.directory.groups = None;
        let user = claims.clone().admit(&tids("t1")).unwrap();
        assert!(user.groups.is_empty() && !user.groups_overage);
        claims.directory.claim_names = Some(Map::from_iter([("groups".to_owned(), Value::from("src1"))]));
        let user = claims.admit(&tids("t1")).unwrap();
        assert!(user.groups.is_empty() && user.groups_overage);
    }
}
