//! The ledger for auditors: places, images, proofs, checkpoints.

mod images;

use axum::{extract::State, response::IntoResponse};
use base64::Engine as _;
use chrono::{DateTime, Utc};
use http::header;
use openpam_ledger::{Hash, Kind, Log};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa_axum::routes;
use uuid::Uuid;

use self::images::RowImages;
use super::{
    error::LedgerError,
    service,
    store::images::{self as stored_images, RowChange},
    types::Placed,
};
use crate::{
    context::Context,
    http::{Access, Json, Path, Problem, ProblemBody, Query, Routes},
    permissions::Permission,
    state::Hub,
};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

pub(crate) fn routes() -> Routes {
    let read = Access::Permission(Permission::AuditRead);
    Routes::new()
        .add(read, routes!(get_ledger))
        .add(read, routes!(get_entry))
        .add(read, routes!(get_entry_of_event))
        .add(read, routes!(images::get_changes_of_event))
        .add(read, routes!(images::list_changes))
        .add(read, routes!(get_inclusion))
        .add(read, routes!(get_consistency))
        .add(read, routes!(get_checkpoint))
        .add(read, routes!(get_system_checkpoint))
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Database(error) => Self::database(&error),
            LedgerError::NoSuchPlace | LedgerError::NoLedger | LedgerError::NoTenant(_) => {
                Self::not_found("entry of the ledger")
            }
            LedgerError::NotSigned { .. } => Self::new(
                http::StatusCode::CONFLICT,
                "not_signed_yet",
                "No signed checkpoint speaks for this entry yet. Try again in a moment.",
            ),
            error => Self::internal(&error),
        }
    }
}

/// How the tenant's ledger stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LedgerStanding {
    /// The ledger's name, which its checkpoints begin with; empty before a hub has led.
    name: String,
    /// Whether the ledger goes on: a word of the list in the operator's guide.
    state: String,
    /// Whether that is as it should be.
    ok: bool,
    /// Entries of the tenant.
    entries: u64,
    /// How many of them the last checkpoint speaks for.
    signed: u64,
    /// When it was signed.
    signed_at: Option<DateTime<Utc>>,
    /// Ed25519 public keys, base64, that sign checkpoints, the present one first.
    public_keys: Vec<String>,
}

/// An entry of the ledger.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LedgerPlace {
    /// Its place in the tenant's ledger, from 0.
    seq: u64,
    /// The audit event or the row change.
    event_id: Uuid,
    /// `event` or `row_change`.
    kind: &'static str,
    /// The bytes that were hashed, base64; the ledger's format says what they are.
    canonical: String,
    /// Hash of the leaf, base64.
    leaf_hash: String,
    sequenced_at: DateTime<Utc>,
    /// When a checkpoint first spoke for it; none while it is not signed.
    signed_at: Option<DateTime<Utc>>,
    /// Of a row change: the row before and after.
    row_change: Option<RowImages>,
}

impl From<(Placed, Option<RowChange>)> for LedgerPlace {
    fn from((placed, change): (Placed, Option<RowChange>)) -> Self {
        Self {
            seq: placed.seq,
            event_id: placed.event_id,
            kind: if placed.kind == Kind::Event as i16 { Kind::Event.name() } else { Kind::RowChange.name() },
            canonical: BASE64.encode(placed.canonical),
            leaf_hash: BASE64.encode(placed.leaf_hash),
            sequenced_at: placed.sequenced_at,
            signed_at: placed.signed_at,
            row_change: change.map(RowImages::from),
        }
    }
}

/// The entry with what it is of, where that is a row.
async fn with_images(connection: &mut PgConnection, placed: Placed) -> Result<Json<LedgerPlace>, Problem> {
    let change = match placed.kind == Kind::RowChange as i16 {
        true => stored_images::change(connection, placed.event_id).await.map_err(LedgerError::from)?,
        false => None,
    };
    Ok(Json((placed, change).into()))
}

/// The proof that an entry is in the tree (RFC 9162 §2.1.3).
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct InclusionProof {
    seq: u64,
    /// Entries of the tree.
    size: u64,
    /// Its root, base64.
    root: String,
    /// Hash of the leaf, base64.
    leaf_hash: String,
    /// The proof, base64.
    hashes: Vec<String>,
    /// The signed checkpoint of this tree, where there is one of exactly this size.
    checkpoint: Option<String>,
}

/// The proof that one tree is the beginning of another (RFC 9162 §2.1.4).
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ConsistencyProof {
    old_size: u64,
    old_root: String,
    new_size: u64,
    new_root: String,
    hashes: Vec<String>,
}

/// The proof that a signed checkpoint of the tenant is in the system's log, which holds those of every tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct SystemInclusionProof {
    /// The tenant's signed checkpoint; its text is the leaf.
    checkpoint: String,
    /// The leaf's place.
    index: u64,
    /// Leaves of the system's tree.
    size: u64,
    /// The system's signed checkpoint (C2SP tlog-checkpoint), with the signatures of witnesses (cosignature/v1), where
    /// there are some.
    system_checkpoint: String,
    /// The proof (RFC 9162 §2.1.3), base64.
    hashes: Vec<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct InclusionQuery {
    /// Entries of the tree; without it those of the last checkpoint.
    size: Option<u64>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ConsistencyQuery {
    /// Entries of the earlier tree.
    old: u64,
    /// Entries of the later tree.
    new: u64,
}

fn encoded(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_base64).collect()
}

/// How the ledger stands: how far it goes, how far it is signed, by which keys.
#[utoipa::path(get, path = "/api/v1/audit/ledger", tag = "audit",
    responses((status = 200, body = LedgerStanding), (status = 403, body = ProblemBody)))]
async fn get_ledger(State(hub): State<Hub>, context: Context) -> Result<Json<LedgerStanding>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let standing = service::standing(&mut tx).await?;
    let (ok, state) = hub.ledger().health_of(Log::Tenant(context.tenant_id.as_uuid()));
    Ok(Json(LedgerStanding {
        name: standing.name,
        state: state.to_owned(),
        ok,
        entries: standing.entries,
        signed: standing.signed,
        signed_at: standing.signed_at,
        public_keys: standing.keys.iter().map(|key| BASE64.encode(key)).collect(),
    }))
}

/// The entry in a place of the ledger.
#[utoipa::path(get, path = "/api/v1/audit/entries/{seq}", tag = "audit", params(("seq" = u64, Path,)),
    responses((status = 200, body = LedgerPlace), (status = 404, body = ProblemBody)))]
async fn get_entry(
    State(hub): State<Hub>,
    context: Context,
    Path(seq): Path<u64>,
) -> Result<Json<LedgerPlace>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let placed = service::entry(&mut tx, seq).await?;
    with_images(&mut tx, placed).await
}

/// The place of an audit event or row change in the ledger.
#[utoipa::path(get, path = "/api/v1/audit/events/{event_id}/entry", tag = "audit",
    params(("event_id" = Uuid, Path,)),
    responses((status = 200, body = LedgerPlace),
              (status = 404, body = ProblemBody, description = "It does not exist, or has no place yet")))]
async fn get_entry_of_event(
    State(hub): State<Hub>,
    context: Context,
    Path(event_id): Path<Uuid>,
) -> Result<Json<LedgerPlace>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let placed = service::entry_of(&mut tx, event_id).await?;
    with_images(&mut tx, placed).await
}

/// The proof that an entry is in the ledger.
#[utoipa::path(get, path = "/api/v1/audit/entries/{seq}/proof", tag = "audit",
    params(("seq" = u64, Path,), InclusionQuery),
    responses((status = 200, body = InclusionProof), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody, description = "The entry is not signed yet")))]
async fn get_inclusion(
    State(hub): State<Hub>,
    context: Context,
    Path(seq): Path<u64>,
    Query(query): Query<InclusionQuery>,
) -> Result<Json<InclusionProof>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let proof = service::inclusion(&mut tx, seq, query.size).await?;
    Ok(Json(InclusionProof {
        seq,
        size: proof.head.size,
        root: proof.head.root.to_base64(),
        leaf_hash: proof.leaf_hash.to_base64(),
        hashes: encoded(&proof.hashes),
        checkpoint: proof.checkpoint,
    }))
}

/// The proof that the ledger only grew from one size to another.
#[utoipa::path(get, path = "/api/v1/audit/consistency", tag = "audit", params(ConsistencyQuery),
    responses((status = 200, body = ConsistencyProof), (status = 404, body = ProblemBody)))]
async fn get_consistency(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<ConsistencyQuery>,
) -> Result<Json<ConsistencyProof>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let (old, new, hashes) = service::consistency(&mut tx, query.old, query.new).await?;
    Ok(Json(ConsistencyProof {
        old_size: old.size,
        old_root: old.root.to_base64(),
        new_size: new.size,
        new_root: new.root.to_base64(),
        hashes: encoded(&hashes),
    }))
}

/// The last signed checkpoint (C2SP tlog-checkpoint).
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", tag = "audit",
    responses((status = 200, body = String, content_type = "text/plain"),
              (status = 409, body = ProblemBody, description = "Nothing is signed yet")))]
async fn get_checkpoint(State(hub): State<Hub>, context: Context) -> Result<impl IntoResponse, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let note = service::checkpoint(&mut tx).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note))
}

/// A signed checkpoint of the tenant, and that it is in the system's log, which witnesses sign.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint/system", tag = "audit",
    responses((status = 200, body = SystemInclusionProof), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody, description = "Nothing is signed yet")))]
async fn get_system_checkpoint(
    State(hub): State<Hub>,
    context: Context,
) -> Result<Json<SystemInclusionProof>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let (checkpoint, system) = service::system(&mut tx).await?;
    Ok(Json(SystemInclusionProof {
        checkpoint,
        index: system.index,
        size: system.size,
        system_checkpoint: system.note,
        hashes: encoded(&system.proof),
    }))
}
