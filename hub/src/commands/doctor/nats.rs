//! NATS: lets the hub in, and has the stream or lets it be made.

use super::Report;
use crate::{config::Config, domains::subscribers};

const NATS: &str = "nats";

pub(super) async fn examine(config: &Config, report: &mut Report) {
    let Some(nats) = &config.nats else { return };
    match subscribers::examine_nats(nats).await {
        Ok(found) => report.ok(NATS, found),
        Err(error) => report.failed(
            NATS,
            format!("{}: {error}", nats.url),
            "start NATS with JetStream, or correct the section [nats]; until then events wait, and nothing else does",
        ),
    }
}
