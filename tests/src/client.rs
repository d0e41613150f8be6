//! A client of the API that behaves like one browser: keeps its cookie, sends its `Origin`, and
//! remembers every answer for the leak test.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

/// The name of the session cookie over plain http.
pub const COOKIE: &str = "openpam";

/// What every client of a story was told, headers included.
pub type Record = Arc<Mutex<String>>;

/// One browser, or one program with a token.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    origin: Option<String>,
    bearer: Option<String>,
    cookies: Arc<Mutex<std::collections::BTreeMap<String, String>>>,
    http: reqwest::Client,
    record: Record,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as text.
    pub text: String,
}

impl Client {
    /// Not signed in.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(60))
            .build()?;
        let (url, origin) = (url.to_owned(), Some(url.to_owned()));
        Ok(Self { url, origin, bearer: None, cookies: Arc::default(), http, record: Record::default() })
    }

    /// Another client of the same hub that is not signed in; what it is told goes to the same record.
    pub fn stranger(&self) -> Self {
        Self { cookies: Arc::default(), bearer: None, origin: Some(self.url.clone()), ..self.clone() }
    }

    /// The same, but with another `Origin`, or none.
    pub fn with_origin(&self, origin: Option<&str>) -> Self {
        Self { origin: origin.map(str::to_owned), ..self.clone() }
    }

    /// A program with an API token; sends neither cookie nor `Origin`.
    pub fn with_token(&self, token: &str) -> Self {
        Self { cookies: Arc::default(), bearer: Some(token.to_owned()), origin: None, ..self.clone() }
    }

    /// The same hub at another address (another process).
    pub fn at(&self, url: &str) -> Self {
        let cookies = Arc::new(Mutex::new(self.cookies.lock().expect("no holder of the lock panics").clone()));
        Self { url: url.to_owned(), origin: Some(url.to_owned()), cookies, ..self.clone() }
    }

    /// Base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything this client and its strangers were told.
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// The cookies as a request carries them.
    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().expect("no holder of the lock panics");
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// The value of one cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().expect("no holder of the lock panics").get(name).cloned()
    }

    /// Sets one cookie.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().expect("no holder of the lock panics").insert(name.to_owned(), value.to_owned());
    }

    /// A request with headers of this client, for what [`Client::call`] cannot send.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http://") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = self.http.request(method, url);
        if let Some(origin) = &self.origin {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        let cookies = self.cookie_header();
        if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies) }
    }

    /// Sends a request, keeps cookies, remembers the answer.
    ///
    /// # Errors
    /// When the hub cannot be reached.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let request = request.build()?;
        let asked = format!("{} {}", request.method(), request.url());
        let answer = self.http.execute(request).await.with_context(|| asked.clone())?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        for cookie in headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str()?;
            let (name, rest) = text.split_once('=').context("a cookie without a value")?;
            let value = rest.split(';').next().unwrap_or_default();
            let mut cookies = self.cookies.lock().expect("no holder of the lock panics");
            if value.is_empty() || text.to_ascii_lowercase().contains("max-age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = answer.text().await?;
        {
            let mut record = self.record.lock().expect("no holder of the lock panics");
            record.push_str(&format!("{asked} -> {status}\n{headers:?}\n{text}\n"));
        }
        Ok(Answer { asked, status, headers, text })
    }

    /// Calls an operation below `/api/v1`.
    ///
    /// # Errors
    /// When the hub cannot be reached.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let request = self.request(method, &format!("/api/v1{path}"));
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// GET that must answer 200; the JSON.
    ///
    /// # Errors
    /// When it does not.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await?.ok(StatusCode::OK)
    }

    /// GET that must answer 200; the text.
    ///
    /// # Errors
    /// When it does not.
    pub async fn text(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.call(Method::GET, path, None).await?;
        ensure!(answer.status == StatusCode::OK, "{}: {} {}", answer.asked, answer.status, answer.text);
        Ok(answer.text)
    }

    /// POST that must succeed; the JSON, or null.
    ///
    /// # Errors
    /// When it does not.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await?.success()
    }

    /// PATCH that must succeed; the JSON, or null.
    ///
    /// # Errors
    /// When it does not.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PATCH, path, Some(body)).await?.success()
    }

    /// PUT that must succeed; the JSON, or null.
    ///
    /// # Errors
    /// When it does not.
    pub async fn put(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call(Method::PUT, path, body).await?.success()
    }

    /// DELETE that must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.call(Method::DELETE, path, None).await?.success()?;
        Ok(())
    }

    /// Every item of a list, page by page.
    ///
    /// # Errors
    /// When a page cannot be had.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{joint}limit=200{cursor}")).await?;
            items.extend(
                page["items"].as_array().with_context(|| format!("{path} is no list: {page}"))?.iter().cloned(),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Tries to sign in with a local account.
    ///
    /// # Errors
    /// When the hub cannot be reached.
    pub async fn try_sign_in(&self, tenant: &str, username: &str, password: &str) -> anyhow::Result<Answer> {
        let body = json!({ "tenant": tenant, "username": username, "password": password });
        self.call(Method::POST, "/auth/local", Some(&body)).await
    }

    /// Signs in with a local account; the person's own description.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn sign_in(&self, tenant: &str, username: &str, password: &str) -> anyhow::Result<Value> {
        let me = self.try_sign_in(tenant, username, password).await?.ok(StatusCode::OK)?;
        ensure!(self.cookie(COOKIE).is_some(), "the sign-in set no session cookie");
        Ok(me)
    }
}

impl Answer {
    /// The JSON of the body, null for none.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.text).with_context(|| format!("{} answered no JSON: {}", self.asked, self.text))
    }

    /// The JSON of an answer that must have this status.
    ///
    /// # Errors
    /// When it has another.
    pub fn ok(&self, status: StatusCode) -> anyhow::Result<Value> {
        ensure!(self.status == status, "{}: expected {status}, got {} {}", self.asked, self.status, self.text);
        self.json()
    }

    /// The JSON of an answer that must be a success.
    ///
    /// # Errors
    /// When it is not.
    pub fn success(&self) -> anyhow::Result<Value> {
        ensure!(self.status.is_success(), "{}: expected success, got {} {}", self.asked, self.status, self.text);
        self.json()
    }

    /// The stable code of a problem; empty for anything else.
    pub fn code(&self) -> String {
        self.json().ok().and_then(|body| Some(body.get("code")?.as_str()?.to_owned())).unwrap_or_default()
    }

    /// Checks that this is a problem as the contract describes it: status, code, content type, a
    /// sentence for a person and the request id of its log line.
    ///
    /// # Errors
    /// With what is different.
    pub fn problem(&self, status: StatusCode, code: &str) -> anyhow::Result<Value> {
        let body = self.ok(status)?;
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(kind.starts_with("application/problem+json"), "{}: content type {kind}", self.asked);
        ensure!(body["code"] == code, "{}: expected code {code}, got {body}", self.asked);
        ensure!(body["status"] == status.as_u16(), "{}: the body's status is {}", self.asked, body["status"]);
        ensure!(body["detail"].as_str().is_some_and(|text| text.len() > 10), "{}: no sentence: {body}", self.asked);
        let request_id = body["request_id"].as_str().unwrap_or_default();
        ensure!(uuid::Uuid::parse_str(request_id).is_ok(), "{}: no request id: {body}", self.asked);
        Ok(body)
    }
}
