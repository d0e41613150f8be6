//! The keys of a tenant's recordings. Public keys are in the database, so that a session can begin
//! without asking for them; private keys are in the vault, made by the hub the first time.

use aws_lc_rs::{
    rand::SecureRandom as _,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::Engine as _;
use openpam_ids::RecordingKeyId;
use openpam_recordings::{Recipient, RecipientKey, RecipientPrivateKey, Role, SignerKey};
use openpam_secret::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{Error, store};
use crate::{
    context::Context,
    db::{DbError, tenant_slug},
    domains::{
        audit::{self, Event},
        vault,
    },
    state::Hub,
};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The tenant reads with it.
    Tenant,
    /// Break-glass: reads when the tenant's key is lost.
    Escrow,
    /// Signs manifests.
    Signer,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Tenant, Self::Escrow, Self::Signer];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Escrow => "escrow",
            Self::Signer => "signer",
        }
    }
}

/// The public keys a recording begins with.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) recipients: Vec<Recipient>,
    pub(super) signer: SignerKey,
}

/// The tenant's present keys, made where they are missing: by the hub, whoever's session needs them.
pub(super) async fn current(hub: &Hub, context: &Context) -> Result<Keys, Error> {
    let context = &Context::system(context.tenant_id, "recorder");
    let mut tx = hub.db().begin(context).await?;
    let mut keys = store::keys(&mut tx).await?;
    let slug = tenant_slug(&mut tx).await?;
    drop(tx);
    let escrow = configured_escrow(hub)?;
    let mut made = false;
    for purpose in Purpose::ALL {
        let present = keys.iter().find(|key| key.purpose == purpose.name()).map(|key| key.public);
        let configured = escrow.filter(|_| purpose == Purpose::Escrow);
        if present.is_none() || configured.is_some_and(|configured| present != Some(configured)) {
            make(hub, context, &slug, purpose, configured, present).await?;
            made = true;
        }
    }
    if made {
        let mut tx = hub.db().begin(context).await?;
        keys = store::keys(&mut tx).await?;
    }
    let find = |purpose: Purpose| {
        keys.iter()
            .find(|key| key.purpose == purpose.name())
            .map(|key| key.public)
            .ok_or_else(|| Error::Key(purpose.name().to_owned()))
    };
    let recipient = |role, purpose| Ok::<_, Error>(Recipient { role, key: RecipientKey(find(purpose)?) });
    Ok(Keys {
        recipients: vec![recipient(Role::Tenant, Purpose::Tenant)?, recipient(Role::Escrow, Purpose::Escrow)?],
        signer: SignerKey(find(Purpose::Signer)?),
    })
}

/// The escrow key whose private half is kept elsewhere.
fn configured_escrow(hub: &Hub) -> Result<Option<[u8; 32]>, Error> {
    let unusable = || Error::Key("recording.escrow_public_key".to_owned());
    let text = hub.config().recording.escrow_public_key.as_deref();
    text.map(|text| decode(text).ok_or_else(unusable)).transpose()
}

/// Makes a key, or takes the one that is configured, in the place of the one that is there: private into
/// the vault, then public into the database. Of two hubs that do it at once, one wins; the other's private
/// key is one that nothing was ever wrapped to.
async fn make(
    hub: &Hub,
    context: &Context,
    slug: &str,
    purpose: Purpose,
    configured: Option<[u8; 32]>,
    replaced: Option<[u8; 32]>,
) -> Result<(), Error> {
    let (public, path) = match configured {
        Some(public) => (public, None),
        None => {
            let mut seed = Zeroizing::new([0_u8; 32]);
            hub.random().fill(seed.as_mut()).map_err(|_| Error::Key(purpose.name().to_owned()))?;
            let unusable = || Error::Key(purpose.name().to_owned());
            let (public, private) = match purpose {
                Purpose::Signer => {
                    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| unusable())?;
                    (pair.public_key().as_ref().try_into().map_err(|_| unusable())?, seed)
                }
                Purpose::Tenant | Purpose::Escrow => {
                    let pair = RecipientPrivateKey::derive(&seed);
                    (pair.public().0, pair.to_bytes())
                }
            };
            let id: RecordingKeyId = hub.ids().fresh();
            let path = vault::recording_key_path(hub, slug, id);
            vault::write_key(hub, &path, SecretString::from(BASE64.encode(private.as_ref()))).await?;
            (public, Some(path))
        }
    };
    let mut tx = hub.db().begin(context).await?;
    if let Some(replaced) = replaced {
        store::retire_key(&mut tx, purpose.name(), &replaced).await?;
    }
    if store::insert_key(&mut tx, context.tenant_id, hub.ids().fresh(), purpose.name(), &public, path.as_deref())
        .await?
    {
        let event = Event::success("recording.key.create")
            .on("tenant", context.tenant_id, slug)
            .with("purpose", purpose.name())
            .with("public_key", BASE64.encode(public))
            .with("vault_path", path)
            .with("replaces", replaced.map(|key| BASE64.encode(key)));
        audit::record(&mut tx, context, event).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

fn decode(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text.trim()).ok()?.try_into().ok()
}

async fn private(
    hub: &Hub,
    context: &Context,
    purpose: Purpose,
    public: Option<[u8; 32]>,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut tx = hub.db().begin(context).await?;
    let key = match public {
        Some(public) => store::key_of(&mut tx, purpose.name(), &public).await?,
        None => store::keys(&mut tx).await?.into_iter().find(|key| key.purpose == purpose.name()),
    };
    drop(tx);
    let path = key.and_then(|key| key.vault_path).ok_or_else(|| Error::Key(purpose.name().to_owned()))?;
    let text = vault::read_key(hub, &path).await?;
    decode(text.expose_secret()).map(Zeroizing::new).ok_or(Error::Key(path))
}

/// What opens the tenant's recordings.
pub(super) async fn reader(
    hub: &Hub,
    context: &Context,
    public: Option<RecipientKey>,
) -> Result<RecipientPrivateKey, Error> {
    let bytes = private(hub, context, Purpose::Tenant, public.map(|key| key.0)).await?;
    RecipientPrivateKey::from_bytes(bytes.as_ref()).ok_or_else(|| Error::Key(Purpose::Tenant.name().to_owned()))
}

/// Signs as the tenant's recorder.
pub(super) async fn sign(hub: &Hub, context: &Context, signer: SignerKey, message: &[u8]) -> Result<Vec<u8>, Error> {
    let seed = private(hub, context, Purpose::Signer, Some(signer.0)).await?;
    let pair = Ed25519KeyPair::from_seed_and_public_key(seed.as_ref(), &signer.0)
        .map_err(|_| Error::Key(Purpose::Signer.name().to_owned()))?;
    Ok(pair.sign(message).as_ref().to_vec())
}

/// Every key that ever signed for the tenant.
pub(super) async fn signers(hub: &Hub, context: &Context) -> Result<Vec<SignerKey>, Error> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::all_keys(&mut tx, Purpose::Signer.name()).await?.into_iter().map(SignerKey).collect())
}
