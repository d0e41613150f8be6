//! `openpam recording … --session`: recordings of a hub, through its API with a token.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use openpam_secret::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::Form;
use crate::{addresses, config::read_secret_file};

/// Environment variable with the API token.
const TOKEN: &str = "OPENPAM_TOKEN";
const TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes one line of an export may have: one event.
const MAX_LINE: usize = 64 << 20;

/// A hub and who asks it.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Scheme, host and port.
    pub hub: String,
    /// File with the API token; the environment has it otherwise.
    pub token_file: Option<PathBuf>,
    /// PEM file with the CA of the hub's certificate, where that is a private one.
    pub ca_file: Option<PathBuf>,
}

/// A client that is ready to ask.
pub(super) struct Api {
    base: Url,
    token: SecretString,
    http: reqwest::Client,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct PageBody {
    items: Vec<Value>,
    next_cursor: Option<String>,
}

impl Remote {
    pub(super) fn open(&self) -> anyhow::Result<Api> {
        let base = Url::parse(&self.hub).with_context(|| format!("{} is no URL", self.hub))?;
        let loopback = base.host_str().is_some_and(addresses::is_this_machine);
        ensure!(
            base.scheme() == "https" || (base.scheme() == "http" && loopback),
            "--hub must begin with https:// (http:// is for loopback only): the token goes there"
        );
        let token = match &self.token_file {
            Some(file) => read_secret_file(&file.display().to_string()).map_err(anyhow::Error::msg)?,
            None => match std::env::var(TOKEN) {
                Ok(token) if !token.trim().is_empty() => SecretString::from(token.trim().to_owned()),
                _ => bail!("name the file with an API token (--token-file), or set {TOKEN}"),
            },
        };
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(TIMEOUT);
        if let Some(file) = &self.ca_file {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)? {
                http = http.add_root_certificate(certificate);
            }
        }
        Ok(Api { base, token, http: http.build()? })
    }
}

impl Api {
    async fn ask(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let url = self.base.join(&format!("/api/v1{path}"))?;
        let answer = self.http.get(url).bearer_auth(self.token.expose_secret()).send().await.map_err(|error| {
            anyhow::anyhow!("the hub cannot be reached: {}", openpam_telemetry::with_causes(&error))
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let problem: Value = answer.json().await.unwrap_or_default();
        match (problem["code"].as_str(), problem["detail"].as_str()) {
            (Some(code), Some(detail)) => bail!("{code}: {detail}"),
            _ => bail!("the hub answers {status}"),
        }
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.ask(path).await?.json().await?)
    }

    /// The items of a list, at most `most`.
    pub(super) async fn list(&self, path: &str, most: usize) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        while items.len() < most {
            let limit = (most - items.len()).min(200);
            let page: PageBody = self.ask(&format!("{path}?limit={limit}{cursor}")).await?.json().await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Ok(items)
    }

    /// Writes a recording to standard output.
    pub(super) async fn write(&self, session: &str, form: Form) -> anyhow::Result<()> {
        let answer = self.ask(&format!("/sessions/{session}/recording/export?format=asciicast-v3")).await?;
        let mut stream = answer.bytes_stream();
        let mut out = BufWriter::new(io::stdout().lock());
        let mut line = Vec::new();
        while let Some(piece) = stream.next().await {
            let piece = piece.context("the download broke off")?;
            if form == Form::Asciicast {
                out.write_all(&piece)?;
                continue;
            }
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                ensure!(line.len() <= MAX_LINE, "a line of the recording is too long");
                if line.ends_with(b"\n") {
                    // What is no event (the header, a comment) says nothing.
                    if let Ok((_, code, text)) = serde_json::from_slice::<(f64, String, String)>(&line)
                        && code == "o"
                    {
                        out.write_all(text.as_bytes())?;
                    }
                    line.clear();
                }
            }
        }
        out.flush()?;
        Ok(())
    }
}
