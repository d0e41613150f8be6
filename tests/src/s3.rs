//! A look into the stack's object store, past the hub.

use std::path::Path;

use anyhow::{Context as _, ensure};
use http::{HeaderMap, Method, StatusCode};

use crate::stack::S3;

/// A bucket. The server checks no signatures, so that these requests have none worth the name.
#[derive(Debug, Clone)]
pub struct Bucket {
    url: String,
    http: reqwest::Client,
    authorization: String,
}

impl Bucket {
    /// The bucket of this name.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(s3: &S3, name: &str) -> anyhow::Result<Self> {
        let scope = format!("{}/20261128/{}/s3/aws4_request", s3.access_key_id, s3.region);
        Ok(Self {
            url: format!("{}/{name}", s3.endpoint),
            http: reqwest::Client::builder().no_proxy().build()?,
            authorization: format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x"),
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<reqwest::Response> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        Ok(request.header("authorization", &self.authorization).body(body).send().await?)
    }

    /// The keys below a prefix, in order.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn keys(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.ask(Method::GET, &format!("?list-type=2&prefix={prefix}"), Vec::new()).await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        let text = answer.text().await?;
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        Ok(keys.map(str::to_owned).collect())
    }

    /// How many versions and deletion marks are below a prefix.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn versions(&self, prefix: &str) -> anyhow::Result<usize> {
        let answer = self.ask(Method::GET, &format!("?versions&prefix={prefix}"), Vec::new()).await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(answer.text().await?.matches("<VersionId>").count())
    }

    /// The headers of an object.
    ///
    /// # Errors
    /// When there is none.
    pub async fn head(&self, key: &str) -> anyhow::Result<HeaderMap> {
        let answer = self.ask(Method::HEAD, &format!("/{key}"), Vec::new()).await?;
        ensure!(answer.status() == StatusCode::OK, "{key}: {answer:?}");
        Ok(answer.headers().clone())
    }

    /// An object.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.ask(Method::GET, &format!("/{key}"), Vec::new()).await?;
        ensure!(answer.status() == StatusCode::OK, "{key}: {answer:?}");
        Ok(answer.bytes().await?.to_vec())
    }

    /// Puts an object, whatever is there.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn put(&self, key: &str, body: &[u8]) -> anyhow::Result<()> {
        let answer = self.ask(Method::PUT, &format!("/{key}"), body.to_vec()).await?;
        ensure!(answer.status().is_success(), "{key}: {answer:?}");
        Ok(())
    }

    /// Hides an object behind a mark of deletion; its versions stay.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn hide(&self, key: &str) -> anyhow::Result<()> {
        let answer = self.ask(Method::DELETE, &format!("/{key}"), Vec::new()).await?;
        ensure!(answer.status().is_success(), "{key}: {answer:?}");
        Ok(())
    }

    /// Downloads all objects below a prefix into one folder.
    ///
    /// # Errors
    /// When the server or the disk refuses.
    pub async fn download(&self, prefix: &str, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        for key in self.keys(prefix).await? {
            let name = key.rsplit('/').next().context("a key without a name")?;
            std::fs::write(folder.join(name), self.get(&key).await?)?;
        }
        Ok(())
    }
}
