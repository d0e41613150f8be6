//! The provider's control listener and its sign-in page, as a browser without a screen uses it.

use anyhow::{Context as _, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use url::Url;

use crate::{
    Stack,
    stack::{Oidc, StackUser, read_trimmed},
};

/// Redirects and forms a sign-in may take.
const MAX_STEPS: usize = 20;

/// What an administrator of the directory can do.
#[derive(Debug, Clone)]
pub struct Directory {
    server: Oidc,
    token: String,
    http: reqwest::Client,
}

impl Directory {
    /// The stack's directory.
    ///
    /// # Errors
    /// When its token cannot be read.
    pub fn new(stack: &Stack) -> anyhow::Result<Self> {
        let server = stack.servers.oidc.clone();
        let token = read_trimmed(&server.control_token_file)?;
        Ok(Self { server, token, http: reqwest::Client::builder().no_proxy().build()? })
    }

    /// One request of the control listener.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self
            .http
            .request(method, format!("{}{path}", self.server.control_url))
            .bearer_auth(&self.token)
            .json(body)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "the provider's control answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Changes a user: `{"groups":[…],"claim":"groups|absent|overage","enabled":bool}`.
    ///
    /// # Errors
    /// When the control listener refuses.
    pub async fn change(&self, username: &str, change: &Value) -> anyhow::Result<()> {
        self.call(Method::PATCH, &format!("/users/{username}"), change).await?;
        Ok(())
    }

    /// Signs with a new key from now on; `retire` also unpublishes the old one.
    ///
    /// # Errors
    /// When the control listener refuses.
    pub async fn rotate_keys(&self, retire: bool) -> anyhow::Result<()> {
        self.call(Method::POST, "/keys/rotate", &json!({ "retire": retire })).await?;
        Ok(())
    }

    /// Lets issued tokens be that many seconds off.
    ///
    /// # Errors
    /// When the control listener refuses.
    pub async fn skew(&self, seconds: i64) -> anyhow::Result<()> {
        self.call(Method::PUT, "/clock", &json!({ "skew_seconds": seconds })).await?;
        Ok(())
    }

    /// Everything as it was at the start.
    ///
    /// # Errors
    /// When the control listener refuses.
    pub async fn reset(&self) -> anyhow::Result<()> {
        self.call(Method::POST, "/reset", &json!({})).await?;
        Ok(())
    }
}

/// Walks from the provider's authorization URL through its sign-in form to the redirect back to
/// the hub, which is returned and not followed.
///
/// # Errors
/// When the provider shows something else than a form or a redirect.
pub async fn sign_in_at_provider(authorization_url: &str, user: &StackUser, hub_origin: &str) -> anyhow::Result<Url> {
    let browser = Browser::new()?;
    let mut next = Url::parse(authorization_url)?;
    let mut answer = browser.get(&next).await?;
    for _ in 0..MAX_STEPS {
        match answer {
            Step::Redirect(to) if to.origin().ascii_serialization() == hub_origin => return Ok(to),
            Step::Redirect(to) => {
                answer = browser.get(&to).await?;
                next = to;
            }
            Step::Page(html) => {
                let action = attribute(&html, "form", "action")
                    .with_context(|| format!("the provider's page at {next} has no form: {html}"))?;
                ensure!(!html.contains("role=\"alert\""), "the provider refused {}", user.username);
                next = next.join(&action)?;
                answer = browser.post(&next, &[("login", &user.username), ("password", &user.password)]).await?;
            }
        }
    }
    bail!("the provider redirected more than {MAX_STEPS} times")
}

enum Step {
    Redirect(Url),
    Page(String),
}

/// reqwest has no cookie store in this build; the provider needs few cookies, by name.
struct Browser {
    http: reqwest::Client,
    cookies: std::sync::Mutex<std::collections::BTreeMap<String, String>>,
}

impl Browser {
    fn new() -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, cookies: std::sync::Mutex::default() })
    }

    async fn get(&self, url: &Url) -> anyhow::Result<Step> {
        self.send(url, self.http.get(url.clone())).await
    }

    async fn post(&self, url: &Url, form: &[(&str, &str)]) -> anyhow::Result<Step> {
        self.send(url, self.http.post(url.clone()).form(form)).await
    }

    async fn send(&self, url: &Url, request: reqwest::RequestBuilder) -> anyhow::Result<Step> {
        let cookies = {
            let jar = self.cookies.lock().expect("no holder of the lock panics");
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
        };
        let answer = request.header(http::header::COOKIE, cookies).send().await?;
        for cookie in answer.headers().get_all(http::header::SET_COOKIE) {
            let (name, rest) = cookie.to_str()?.split_once('=').context("a cookie without a value")?;
            let value = rest.split(';').next().unwrap_or_default();
            self.cookies.lock().expect("no holder of the lock panics").insert(name.to_owned(), value.to_owned());
        }
        let status = answer.status();
        if status.is_redirection() {
            let location = answer.headers().get(http::header::LOCATION).context("a redirect without Location")?;
            return Ok(Step::Redirect(url.join(location.to_str()?)?));
        }
        let text = answer.text().await?;
        ensure!(status.is_success(), "{url} answered {status}: {text}");
        Ok(Step::Page(text))
    }
}

/// The value of an attribute of the first such element, with character references resolved.
fn attribute(html: &str, element: &str, name: &str) -> Option<String> {
    let tag = html.split_once(&format!("<{element} "))?.1.split_once('>')?.0;
    let value = tag.split_once(&format!("{name}=\""))?.1.split_once('"')?.0;
    Some(value.replace("&#38;", "&").replace("&amp;", "&"))
}
