//! SQL that searches what recordings show. Reads sessions, targets and zones beside: who, where and
//! when decide which lines are wanted, and only one statement can say so.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::types::{FoundLine, FoundSession, Search};

/// Matching lines that the index is asked for; a text that is found more often is looked for session
/// by session, from the newest on.
pub(in super::super) const MOST_FOUND: i32 = 20_000;
/// Matches of a session that are counted.
pub(in super::super) const MOST_COUNTED: i64 = 1_000;

/// What the index says.
pub(in super::super) enum ByIndex {
    Found(Vec<FoundSession>),
    /// Too many lines match.
    TooMany,
}

/// A text as a pattern of `like` that stands for itself.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// Ends statements of this transaction that take longer.
pub(in super::super) async fn limit_time(connection: &mut PgConnection, millis: u64) -> Result<(), sqlx::Error> {
    sqlx::query!("select set_config('statement_timeout', $1, true) as timeout", millis.to_string())
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Sessions with matching lines, newest first, by the index over their text.
pub(in super::super) async fn by_index(
    connection: &mut PgConnection,
    search: &Search,
    before: Option<Uuid>,
    limit: i64,
) -> Result<ByIndex, sqlx::Error> {
    let (first, last) = search.identifiers();
    let rows = sqlx::query!(
        r#"with found as materialized (
               select session_id, number from openpam.search_recording_lines($1, $2, $3, $4, $5, $16)
           ), total as (
               select count(*) as lines from found
           ), matched as (
               select session_id, array_agg(number order by number) as numbers from found group by session_id
           ), page as (
               select sessions.session_id, user_id, user_name, sessions.target_id, target_name,
                      zones.name as zone_name, start_time, numbers
               from matched join sessions using (session_id)
               join recordings on recordings.tenant_id = sessions.tenant_id and recordings.session_id = sessions.session_id
                              and recordings.state not in ('purging', 'purged')
               left join targets on targets.tenant_id = sessions.tenant_id and targets.target_id = sessions.target_id
               left join zones on zones.tenant_id = targets.tenant_id and zones.zone_id = targets.zone_id
               where ($6::uuid is null or sessions.session_id < $6)
                 and ($7::uuid is null or user_id = $7)
                 and ($8::uuid is null or sessions.target_id = $8)
                 and ($9::timestamptz is null or start_time >= $9)
                 and ($10::timestamptz is null or start_time < $10)
                 and ($11::text is null or strpos(lower(user_name), lower($11)) > 0)
                 and ($12::text is null or strpos(lower(target_name), lower($12)) > 0)
                 and ($13::text is null or strpos(lower(coalesce(zones.name, '')), lower($13)) > 0)
               order by sessions.session_id desc limit $14
           )
           select total.lines as "lines!", session_id as "session_id?", user_id as "user_id?", user_name as "user_name?",
                  target_id as "target_id?", target_name as "target_name?", zone_name as "zone_name?",
                  start_time as "start_time?", cardinality(numbers) as "count?", numbers[1:$15] as "numbers?"
           from total left join page on true order by session_id desc"#,
        pattern(&search.text),
        search.commands,
        first,
        last,
        MOST_FOUND + 1,
        before,
        search.user_id.map(|id| id.as_uuid()),
        search.target_id.map(|id| id.as_uuid()),
        search.from,
        search.to,
        search.user,
        search.target,
        search.zone,
        limit,
        search.hits,
        search.output
    )
    .fetch_all(connection)
    .await?;
    if rows.first().is_some_and(|row| row.lines > i64::from(MOST_FOUND)) {
        return Ok(ByIndex::TooMany);
    }
    let found = rows.into_iter().filter_map(|row| {
        Some(FoundSession {
            session_id: row.session_id?.into(),
            user_id: row.user_id?.into(),
            user_name: row.user_name?,
            target_id: row.target_id.map(Into::into),
            target_name: row.target_name?,
            zone_name: row.zone_name,
            start_time: row.start_time?,
            count: row.count.unwrap_or_default().into(),
            numbers: row.numbers.unwrap_or_default(),
        })
    });
    Ok(ByIndex::Found(found.collect()))
}

/// The same without the index over text: from the newest session on, until a page is full.
pub(in super::super) async fn by_session(
    connection: &mut PgConnection,
    search: &Search,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<FoundSession>, sqlx::Error> {
    let (first, last) = search.identifiers();
    sqlx::query_as!(
        FoundSession,
        r#"select sessions.session_id as "session_id: _", user_id as "user_id: _", user_name,
                  sessions.target_id as "target_id: _", target_name, zones.name as "zone_name?", start_time,
                  matched.count as "count!", matched.numbers[1:$13] as "numbers!"
           from sessions
           join recordings on recordings.tenant_id = sessions.tenant_id and recordings.session_id = sessions.session_id
                          and recordings.state not in ('purging', 'purged')
           left join targets on targets.tenant_id = sessions.tenant_id and targets.target_id = sessions.target_id
           left join zones on zones.tenant_id = targets.tenant_id and zones.zone_id = targets.zone_id
           cross join lateral (
               select count(*) as count, array_agg(number order by number) as numbers
               from (select number from recording_lines as lines
                     where lines.tenant_id = sessions.tenant_id and lines.session_id = sessions.session_id
                       and lines.text ilike $1
                       and (not $2 or (command_from is not null and substr(text, command_from + 1) ilike $1))
                       and (not $16 or command_from is null)
                     order by number limit $14) as first_ones
           ) as matched
           where sessions.session_id between $3 and $4
             and ($5::uuid is null or sessions.session_id < $5)
             and ($6::uuid is null or user_id = $6)
             and ($7::uuid is null or sessions.target_id = $7)
             and ($8::timestamptz is null or start_time >= $8)
             and ($9::timestamptz is null or start_time < $9)
             and ($10::text is null or strpos(lower(user_name), lower($10)) > 0)
             and ($11::text is null or strpos(lower(target_name), lower($11)) > 0)
             and ($12::text is null or strpos(lower(coalesce(zones.name, '')), lower($12)) > 0)
             and matched.count > 0
           order by sessions.session_id desc limit $15"#,
        pattern(&search.text),
        search.commands,
        first,
        last,
        before,
        search.user_id.map(|id| id.as_uuid()),
        search.target_id.map(|id| id.as_uuid()),
        search.from,
        search.to,
        search.user,
        search.target,
        search.zone,
        search.hits,
        MOST_COUNTED,
        limit,
        search.output
    )
    .fetch_all(connection)
    .await
}

/// The lines of these numbers, in order.
pub(in super::super) async fn lines(
    connection: &mut PgConnection,
    sessions: &[Uuid],
    numbers: &[i32],
) -> Result<Vec<FoundLine>, sqlx::Error> {
    sqlx::query_as!(
        FoundLine,
        r#"select session_id as "session_id: _", at_us, command_from, text
           from recording_lines join unnest($1::uuid[], $2::int[]) as wanted (session_id, number) using (session_id, number)
           order by session_id desc, number"#,
        sessions,
        numbers
    )
    .fetch_all(connection)
    .await
}

/// Recordings in which keys did not show that are counted: a password is ordinary.
const MOST_UNSEEN: i64 = 1_000;

/// Of the recordings that the filters leave: how many are not indexed to their end yet, of how many the search
/// cannot find all that was shown and run, and in how many keys did not show at a prompt. All at most so many.
pub(in super::super) async fn count_behind(
    connection: &mut PgConnection,
    search: &Search,
) -> Result<(i64, i64, i64), sqlx::Error> {
    let (first, last) = search.identifiers();
    let row = sqlx::query!(
        // Each count stops where it is enough: so what the filters leave is not gathered first.
        r#"with chosen as not materialized (
               select not indexed.done as open,
                      (indexed.sampled <> '{}' or indexed.truncated or indexed.cut or indexed.hidden_entries > 0
                       or indexed.error_code is not null) as partial,
                      indexed.unseen_entries > indexed.hidden_entries as unseen
               from recording_index as indexed
               join recordings using (tenant_id, session_id)
               join sessions using (tenant_id, session_id)
               left join targets on targets.tenant_id = sessions.tenant_id and targets.target_id = sessions.target_id
               left join zones on zones.tenant_id = targets.tenant_id and zones.zone_id = targets.zone_id
               where recordings.state not in ('purging', 'purged')
                 and indexed.session_id between $1 and $2
                 and ($3::uuid is null or user_id = $3)
                 and ($4::uuid is null or sessions.target_id = $4)
                 and ($5::timestamptz is null or start_time >= $5)
                 and ($6::timestamptz is null or start_time < $6)
                 and ($7::text is null or strpos(lower(user_name), lower($7)) > 0)
                 and ($8::text is null or strpos(lower(target_name), lower($8)) > 0)
                 and ($9::text is null or strpos(lower(coalesce(zones.name, '')), lower($9)) > 0)
           )
           select count(*) filter (where behind.open) as "open!", count(*) filter (where behind.partial) as "partial!",
                  (select count(*) from (select from chosen where unseen limit $10) as ordinary) as "unseen!"
           from (select open, partial from chosen where open or partial limit 10000) as behind"#,
        first,
        last,
        search.user_id.map(|id| id.as_uuid()),
        search.target_id.map(|id| id.as_uuid()),
        search.from,
        search.to,
        search.user,
        search.target,
        search.zone,
        MOST_UNSEEN
    )
    .fetch_one(connection)
    .await?;
    Ok((row.open, row.partial, row.unseen))
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn what_means_something_in_a_pattern_stands_for_itself() {
        assert_eq!(pattern(r"50%_\x"), r"%50\%\_\\x%");
    }
}
