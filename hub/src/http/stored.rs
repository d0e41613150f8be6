//! Answers that are the same for everybody. They are compressed once: whoever asks without end, and reads nothing, must
//! not take memory or time for each.

use std::io::Write as _;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, header};

/// Bytes, and their gzip where it is much smaller.
#[derive(Debug)]
pub(super) struct Stored {
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl Stored {
    pub(super) fn new(plain: impl Into<Bytes>) -> Self {
        let plain = plain.into();
        let gzip = gzip(&plain).filter(|gzip| gzip.len() < plain.len() / 10 * 9);
        Self { plain, gzip }
    }

    /// The answer to a request with these headers.
    pub(super) fn answer(&self, mime: &str, asked: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| takes_gzip(asked));
        let mut response = Body::from(gzip.unwrap_or(&self.plain).clone()).into_response();
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(mime) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        if gzip.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.gzip.is_some() {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether `Accept-Encoding` (RFC 9110 section 12.5.3) names gzip, and not with a weight of 0.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let names = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    names.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let is_refused = |weight: &str| weight.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        named && !parts.any(is_refused)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn asks(encodings: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings))])
    }

    #[tokio::test]
    async fn gzip_goes_to_who_takes_it() {
        let text = "the same again and again ".repeat(100);
        let stored = Stored::new(text.clone());
        for (encodings, is_compressed) in
            [("gzip, deflate, br, zstd", true), ("br;q=1, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false)]
        {
            let response = stored.answer("text/plain", &asks(encodings));
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), is_compressed, "{encodings}");
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
            let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let mut read = String::new();
            match is_compressed {
                true => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut read).unwrap(),
                false => (&*bytes).read_to_string(&mut read).unwrap(),
            };
            assert_eq!(read, text);
        }
        let small = Stored::new("x").answer("text/plain", &asks("gzip"));
        assert!(!small.headers().contains_key(header::CONTENT_ENCODING), "what does not get smaller stays as it is");
    }
}
