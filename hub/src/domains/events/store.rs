//! SQL of the outbox and of deliveries.

use chrono::{DateTime, Utc};
use openpam_ids::{DeliveryId, EventId, TenantId, WebhookId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::types::{Delivery, DeliveryState, Due, Filter, Published, Subscriber};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// An event before it is in the outbox.
pub(super) struct NewEvent<'a> {
    pub(super) id: EventId,
    pub(super) tenant_id: TenantId,
    pub(super) event_type: &'a str,
    pub(super) source: &'a str,
    pub(super) subject: Option<&'a str>,
    /// When others say that it happened; now, where they do not.
    pub(super) occurred_at: Option<DateTime<Utc>>,
    pub(super) correlation_id: Option<&'a str>,
    pub(super) schema_version: i32,
    pub(super) payload: &'a Value,
    pub(super) context: &'a Value,
    pub(super) ingested_by: Option<Uuid>,
}

/// Writes an event; `false` when the same principal sent it before, under the same correlation.
pub(super) async fn insert(connection: &mut PgConnection, event: &NewEvent<'_>) -> Result<bool> {
    let done = sqlx::query!(
        "insert into platform_events (event_id, tenant_id, event_type, source, subject, occurred_at, correlation_id,
                                      schema_version, payload, context, ingested_by)
         values ($1, $2, $3, $4, $5, coalesce($6, clock_timestamp()), $7, $8, $9, $10, $11)
         on conflict (tenant_id, ingested_by, source, event_type, correlation_id)
             where ingested_by is not null and correlation_id is not null do nothing",
        event.id.as_uuid(),
        event.tenant_id.as_uuid(),
        event.event_type,
        event.source,
        event.subject,
        event.occurred_at,
        event.correlation_id,
        event.schema_version,
        event.payload,
        event.context,
        event.ingested_by,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The event that a repeat is of.
pub(super) async fn first_of(connection: &mut PgConnection, repeat: &NewEvent<'_>) -> Result<Option<EventId>> {
    sqlx::query_scalar!(
        r#"select event_id as "id: EventId" from platform_events
           where ingested_by = $1 and source = $2 and event_type = $3 and correlation_id = $4"#,
        repeat.ingested_by,
        repeat.source,
        repeat.event_type,
        repeat.correlation_id
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn find(connection: &mut PgConnection, id: EventId) -> Result<Option<Published>> {
    sqlx::query_as!(
        Published,
        r#"select event_id as "id: _", tenant_id as "tenant_id: _", event_type, source, subject, occurred_at,
                  correlation_id, schema_version, payload, context, delivery_state, delivery_attempts, last_error
           from platform_events where event_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Events that match, newest first, older than `before`.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Published>> {
    let prefix = filter.event_type.as_deref().filter(|event_type| event_type.ends_with('.'));
    let exact = filter.event_type.as_deref().filter(|event_type| !event_type.ends_with('.'));
    sqlx::query_as!(
        Published,
        r#"select event_id as "id: _", tenant_id as "tenant_id: _", event_type, source, subject, occurred_at,
                  correlation_id, schema_version, payload, context, delivery_state, delivery_attempts, last_error
           from platform_events
           where ($1::uuid is null or event_id < $1)
             and ($2::text is null or event_type = $2)
             and ($3::text is null or starts_with(event_type, $3))
             and ($4::text is null or source = $4)
             and ($5::text is null or subject = $5)
             and ($6::text is null or correlation_id = $6)
             and ($7::text is null or delivery_state = $7)
             and ($8::timestamptz is null or occurred_at >= $8)
             and ($9::timestamptz is null or occurred_at < $9)
           order by event_id desc
           limit $10"#,
        before,
        exact,
        prefix,
        filter.source,
        filter.subject,
        filter.correlation_id,
        filter.state.map(DeliveryState::name),
        filter.from,
        filter.to,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Tenants with events that have no deliveries yet.
pub(super) async fn tenants_with_new(connection: &mut PgConnection, most: i32) -> Result<Vec<TenantId>> {
    sqlx::query_scalar!(r#"select openpam.events_new($1) as "id!: TenantId""#, most).fetch_all(connection).await
}

/// Takes the oldest new events of the transaction's tenant: id and type. Others take others.
pub(super) async fn take_new(connection: &mut PgConnection, most: i64) -> Result<Vec<(EventId, String)>> {
    let rows = sqlx::query!(
        r#"select event_id as "id: EventId", event_type from platform_events
           where dispatched_at is null
           order by event_id
           limit $1
           for no key update skip locked"#,
        most
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.event_type)).collect())
}

/// Makes deliveries, each an event and who gets it. One that was done already begins anew.
pub(super) async fn insert_deliveries(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    deliveries: &[(EventId, Subscriber)],
) -> Result<()> {
    let events = deliveries.iter().map(|(event, _)| event.as_uuid()).collect::<Vec<_>>();
    let kinds = deliveries.iter().map(|(_, subscriber)| subscriber.kind().to_owned()).collect::<Vec<_>>();
    let webhooks =
        deliveries.iter().map(|(_, subscriber)| subscriber.webhook().map(|id| id.as_uuid())).collect::<Vec<_>>();
    sqlx::query!(
        "insert into event_deliveries (tenant_id, event_id, subscriber, webhook_id)
         select $1, event_id, subscriber, webhook_id
         from unnest($2::uuid[], $3::text[], $4::uuid[]) as wanted (event_id, subscriber, webhook_id)
         on conflict on constraint event_deliveries_once do update
         set state = 'pending', attempts = 0, next_attempt_at = now(), finished_at = null
         where event_deliveries.state <> 'pending'",
        tenant_id.as_uuid(),
        &events,
        &kinds,
        &webhooks as &[Option<Uuid>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn mark_dispatched(connection: &mut PgConnection, events: &[EventId]) -> Result<()> {
    let events = events.iter().map(EventId::as_uuid).collect::<Vec<_>>();
    sqlx::query!("update platform_events set dispatched_at = now() where event_id = any ($1)", &events)
        .execute(connection)
        .await?;
    Ok(())
}

/// Subscribers with a delivery that is due.
pub(super) async fn due(connection: &mut PgConnection, most: i32) -> Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"select tenant_id as "tenant_id!: TenantId", subscriber as "subscriber!", webhook_id as "webhook_id: WebhookId"
           from openpam.deliveries_due($1)"#,
        most
    )
    .fetch_all(connection)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        tenant_id: row.tenant_id,
        subscriber: match row.webhook_id {
            Some(id) => Subscriber::Webhook(id),
            None if row.subscriber == Subscriber::Sns.kind() => Subscriber::Sns,
            None => Subscriber::Nats,
        },
    });
    Ok(due.collect())
}

/// Takes deliveries of a subscriber that are due, those that wait longest first: id and attempts. Until the lease is
/// over no other hub takes them; then another may.
pub(super) async fn claim(
    connection: &mut PgConnection,
    subscriber: Subscriber,
    most: i64,
    lease_seconds: f64,
) -> Result<Vec<(DeliveryId, i32, EventId)>> {
    let rows = sqlx::query!(
        r#"with due as (
               select delivery_id from event_deliveries
               where subscriber = $1 and state = 'pending' and next_attempt_at <= now()
                 and coalesce(webhook_id, '00000000-0000-0000-0000-000000000000')
                   = coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
               order by next_attempt_at
               limit $3
               for no key update skip locked)
           update event_deliveries d
           set attempts = d.attempts + 1, last_attempt_at = now(), next_attempt_at = now() + make_interval(secs => $4)
           from due where d.delivery_id = due.delivery_id
           returning d.delivery_id as "id: DeliveryId", d.attempts, d.event_id as "event_id: EventId""#,
        subscriber.kind(),
        subscriber.webhook().map(|id| id.as_uuid()),
        most,
        lease_seconds
    )
    .fetch_all(connection)
    .await?;
    let mut claimed = rows.into_iter().map(|row| (row.id, row.attempts, row.event_id)).collect::<Vec<_>>();
    claimed.sort_by_key(|(_, _, event)| *event);
    Ok(claimed)
}

pub(super) async fn find_all(connection: &mut PgConnection, ids: &[EventId]) -> Result<Vec<Published>> {
    let ids = ids.iter().map(EventId::as_uuid).collect::<Vec<_>>();
    sqlx::query_as!(
        Published,
        r#"select event_id as "id: _", tenant_id as "tenant_id: _", event_type, source, subject, occurred_at,
                  correlation_id, schema_version, payload, context, delivery_state, delivery_attempts, last_error
           from platform_events where event_id = any ($1)"#,
        &ids
    )
    .fetch_all(connection)
    .await
}

/// What came of an attempt.
pub(super) struct Attempted<'a> {
    pub(super) id: DeliveryId,
    /// The attempt: who took over meanwhile counts on.
    pub(super) attempt: i32,
    pub(super) state: DeliveryState,
    pub(super) status: Option<i32>,
    pub(super) error: Option<&'a str>,
    /// Pause before the next one.
    pub(super) retry_seconds: f64,
}

/// Writes it; the event, or `None` when somebody else has the delivery now.
pub(super) async fn complete(connection: &mut PgConnection, done: &Attempted<'_>) -> Result<Option<EventId>> {
    sqlx::query_scalar!(
        r#"update event_deliveries
           set state = $3, last_status = $4, last_error = $5,
               next_attempt_at = now() + make_interval(secs => $6),
               finished_at = case when $3 = 'pending' then null else now() end
           where delivery_id = $1 and attempts = $2 and state = 'pending'
           returning event_id as "id: EventId""#,
        done.id.as_uuid(),
        done.attempt,
        done.state.name(),
        done.status,
        done.error,
        done.retry_seconds
    )
    .fetch_optional(connection)
    .await
}

/// Notes an attempt with the event.
pub(super) async fn count_attempt(connection: &mut PgConnection, event: EventId, error: Option<&str>) -> Result<()> {
    sqlx::query!(
        "update platform_events set delivery_attempts = delivery_attempts + 1, last_error = coalesce($2, last_error)
         where event_id = $1",
        event.as_uuid(),
        error
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Holds other writers of these events back until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, events: &[EventId]) -> Result<()> {
    let events = events.iter().map(EventId::as_uuid).collect::<Vec<_>>();
    sqlx::query!(
        "select event_id from platform_events where event_id = any ($1) order by event_id for no key update",
        &events
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Says of dispatched events how far they were delivered, by their deliveries. The events are locked first, so
/// that of two whose last deliveries end together one sees both.
pub(super) async fn settle(connection: &mut PgConnection, events: &[EventId]) -> Result<()> {
    lock(connection, events).await?;
    let events = events.iter().map(EventId::as_uuid).collect::<Vec<_>>();
    sqlx::query!(
        "update platform_events e
         set delivery_state = now_is.state
         from (select known.event_id,
                      case when bool_or(d.state = 'pending') then 'pending'
                           when bool_or(d.state = 'failed') then 'failed'
                           else 'succeeded' end as state
               from unnest($1::uuid[]) as known (event_id)
               left join event_deliveries d on d.event_id = known.event_id
               group by known.event_id) as now_is
         where e.event_id = now_is.event_id and e.dispatched_at is not null and e.delivery_state <> now_is.state",
        &events
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deliveries of an event.
pub(super) async fn deliveries(connection: &mut PgConnection, event: EventId) -> Result<Vec<Delivery>> {
    sqlx::query_as!(
        Delivery,
        r#"select delivery_id as "id: _", subscriber, webhook_id as "webhook_id: _", state, attempts, next_attempt_at,
                  last_attempt_at, last_status, last_error, finished_at
           from event_deliveries
           where event_id = $1
           order by subscriber, webhook_id
           limit 500"#,
        event.as_uuid()
    )
    .fetch_all(connection)
    .await
}

/// Begins failed deliveries anew: those of an event, or of a webhook, at most so many. The events they are of.
pub(super) async fn revive(
    connection: &mut PgConnection,
    event: Option<EventId>,
    webhook: Option<WebhookId>,
    most: i64,
) -> Result<Vec<EventId>> {
    sqlx::query_scalar!(
        r#"update event_deliveries
           set state = 'pending', attempts = 0, next_attempt_at = now(), finished_at = null
           where delivery_id in (
               select delivery_id from event_deliveries
               where state = 'failed' and ($1::uuid is null or event_id = $1) and ($2::uuid is null or webhook_id = $2)
               order by event_id
               limit $3)
           returning event_id as "id: EventId""#,
        event.map(|id| id.as_uuid()),
        webhook.map(|id| id.as_uuid()),
        most
    )
    .fetch_all(connection)
    .await
}

/// Makes an event a new one: whoever is a subscriber now gets it.
pub(super) async fn dispatch_again(connection: &mut PgConnection, event: EventId) -> Result<()> {
    sqlx::query!(
        "update platform_events set dispatched_at = null, delivery_state = 'pending' where event_id = $1",
        event.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Dispatched events that are called pending or failed and have no such delivery: it went with its webhook.
pub(super) async fn unsettled(connection: &mut PgConnection, after: Uuid, most: i64) -> Result<Vec<EventId>> {
    sqlx::query_scalar!(
        r#"select event_id as "id: EventId" from platform_events e
           where event_id > $1 and delivery_state <> 'succeeded' and dispatched_at is not null
             and not exists (select from event_deliveries d
                             where d.event_id = e.event_id and d.state = e.delivery_state)
           order by event_id
           limit $2"#,
        after,
        most
    )
    .fetch_all(connection)
    .await
}

/// Empties the names of a person in what was published about them, and in what they published, as the trigger lets the
/// owner. How many events it was.
pub(super) async fn erase(
    connection: &mut PgConnection,
    user_id: Uuid,
    before: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<u64> {
    sqlx::query!("select set_config('openpam.erasing', 'on', true)").fetch_one(&mut *connection).await?;
    let done = sqlx::query!(
        r#"with theirs as (
               select event_id, ingested_by is null
                                and (payload ->> 'user_id' = $1::uuid::text or subject = 'users/' || $1::uuid::text) as about,
                      context -> 'actor' ->> 'id' = $1::uuid::text as acted
               from platform_events
               where tenant_id = openpam.current_tenant() and ($2::timestamptz is null or occurred_at < $2)
                 and (payload ->> 'user_id' = $1::uuid::text or subject = 'users/' || $1::uuid::text
                      or context -> 'actor' ->> 'id' = $1::uuid::text)
           ), emptied as (
               select e.event_id,
                      case when t.about then e.payload || coalesce(
                          (select jsonb_object_agg(name, '') from unnest(array['username', 'user_name', 'display_name', 'email']) name
                           where e.payload ? name), '{}') else e.payload end as payload,
                      case when t.acted then jsonb_set(e.context, '{actor,name}', '""') else e.context end as context
               from theirs t join platform_events e on e.event_id = t.event_id
           )
           update platform_events e set payload = n.payload, context = n.context
           from emptied n
           where e.tenant_id = openpam.current_tenant() and e.event_id = n.event_id
             and (e.payload, e.context) is distinct from (n.payload, n.context)"#,
        user_id,
        before
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("select set_config('openpam.erasing', '', true)").fetch_one(connection).await?;
    Ok(done.rows_affected())
}

/// Removes events that are done and older than so many days; how many.
pub(super) async fn forget(connection: &mut PgConnection, days: i32, most: i32) -> Result<i32> {
    sqlx::query_scalar!(r#"select openpam.forget_events(make_interval(days => $1), $2) as "removed!""#, days, most)
        .fetch_one(connection)
        .await
}
