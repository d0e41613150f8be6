//! Searching ten thousand recordings.

use std::time::Instant;

use anyhow::ensure;
use openpam_tests::World;

use crate::{
    report::Report,
    statistics::{Spread, percentile},
};

/// Lines of each session; one in forty is a command.
const LINES: usize = 300;
/// How long an answer may take.
const LIMIT_MILLIS: f64 = 1_000.0;

/// Sessions over a year, on forty targets in two zones, by fifty people, with the lines they showed. One
/// in five hundred stopped a service.
fn generate(sessions: usize) -> String {
    format!(
        "set session_replication_role = replica;
        insert into zones (zone_id, tenant_id, type, name)
            select md5('zone ' || zone)::uuid, tenant_id, 'hub', zone from tenants, unnest(array['prod', 'lab']) as zone;
        insert into targets (target_id, tenant_id, zone_id, name, protocol, host, port)
            select md5('target ' || n)::uuid, tenant_id, md5('zone ' || case when n % 4 = 0 then 'lab' else 'prod' end)::uuid,
                   case when n % 4 = 0 then 'lab-' else 'prod-web-' end || n, 'ssh', '192.0.2.1', 22
            from tenants, generate_series(1, 40) as n;
        create temporary table generated as
            select i, start, (lpad(to_hex((extract(epoch from start) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3)
                              || '8' || substr(md5(i::text), 4, 15))::uuid as session_id,
                   1 + i % 40 as target, 1 + i * 7 % 50 as person
            from generate_series(1, {sessions}) as i,
                 lateral (select timestamptz '2025-11-01' + i * interval '1 year' / {sessions} as start) as time;
        insert into sessions (session_id, tenant_id, hub_id, user_id, user_name, target_id, target_name, credential_name,
                              decision_id, protocol, status, start_time, end_time)
            select session_id, targets.tenant_id, (select hub_id from hubs limit 1), md5('user ' || person)::uuid,
                   'person-' || person, target_id, name, 'root', (select audit_event_id from audit_events limit 1), 'ssh',
                   'completed', start, start + interval '20 minutes'
            from generated join targets on target_id = md5('target ' || target)::uuid;
        insert into recordings (session_id, tenant_id, state, required, path, started_at, ended_at, segments)
            select session_id, tenant_id, 'complete', true, 'generated', start, start + interval '20 minutes', 80
            from tenants, generated;
        insert into recording_index (tenant_id, session_id, segments, lines, done)
            select tenant_id, session_id, 80, {LINES}, true from tenants, generated;
        insert into recording_lines (tenant_id, session_id, number, at_us, command_from, text)
            select tenant_id, session_id, n, n * 4000000, case when n % 40 = 1 then length(prompt) end,
                   case when n % 40 = 1 then prompt || case when i % 500 = 0 and n = 41 then 'systemctl stop nginx'
                            else (array['systemctl status nginx', 'journalctl -u nginx', 'ls -la /etc', 'tail -f /var/log/syslog',
                                        'grep -r error /var/log', 'df -h', 'ps aux', 'vi /etc/hosts'])[1 + (i + n) % 8] end
                        when n % 7 = 0 then 'nginx[' || 1000 + n || ']: error: upstream ' || substr(md5(i || ' ' || n), 1, 12) || ' timed out'
                        when n % 7 = 1 then '-rw-r--r-- 1 root root ' || i * n % 99991 || ' Mar 12 2026 ' || substr(md5(n || '/' || i), 1, 10) || '.conf'
                        else 'unit ' || substr(md5(i || 'x' || n), 1, 8) || ' loaded active running service number ' || n end
            from tenants, generated, lateral (select 'root@host-' || target || ':~# ' as prompt) as p, generate_series(0, {LINES} - 1) as n;
        update recording_lines set text = 'the only-needle in ' || text where (session_id, number) in
            (select session_id, 123 from generated where i = {sessions} / 3);
        analyze sessions; analyze recording_lines; analyze recording_index;"
    )
}

/// Answers of the search over so many sessions, through the interface.
///
/// # Errors
/// When something is not found.
pub async fn search(world: &World, sessions: usize, repetitions: usize, report: &mut Report) -> anyhow::Result<()> {
    let begun = Instant::now();
    world.database.by_hand(&generate(sessions)).await?;
    let lines = sessions * LINES;
    report.note(
        &format!("{sessions} sessions with {lines} lines are made"),
        "s",
        Spread::of([begun.elapsed().as_secs_f64()]),
    );
    for (name, query, least) in [
        (
            "who ran `systemctl stop` on prod in March",
            "q=systemctl+stop&kind=command&zone=prod&from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z",
            1,
        ),
        ("a command in a year", "q=systemctl+stop&kind=command", sessions / 500),
        ("one line of all", "q=only-needle", 1),
        ("nothing", "q=nowhere-to-be-found", 0),
        ("what every session showed", "q=upstream", 50),
        ("what every session ran", "q=journalctl&kind=command", 50),
        ("two letters", "q=df", 50),
        ("of one person", "q=timed+out&user=person-7", 50),
        ("everywhere, of nobody", "q=upstream&user=nobody-at-all", 0),
    ] {
        let mut times = Vec::new();
        for _ in 0..repetitions {
            let begun = Instant::now();
            let answer = world.admin.get(&format!("/recordings/search?{query}")).await?;
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            let found = answer["items"].as_array().map_or(0, Vec::len);
            ensure!(found >= least && (least > 0 || found == 0), "{name}: {found} sessions");
        }
        report.note(&format!("search, {name}: p50"), "ms", Spread::of([percentile(&mut times, 0.5)]));
        report.limit(&format!("search, {name}: p95"), "ms", Spread::of([percentile(&mut times, 0.95)]), LIMIT_MILLIS);
    }
    Ok(())
}
