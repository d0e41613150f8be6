//! The hub's own certificate and key: read, matched, and how long they are good.

use chrono::{DateTime, NaiveDateTime, Utc};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::{Mistake, Server};

/// What stands in the certificate that browsers are shown.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Good from.
    pub not_before: DateTime<Utc>,
    /// Good until.
    pub not_after: DateTime<Utc>,
    /// The certificate itself.
    pub der: CertificateDer<'static>,
}

/// TLS from certificate and key files; `None` when neither is configured.
///
/// # Errors
/// With the key's name, when a file cannot be read or the two do not belong together.
pub fn server_config(server: &Server) -> Result<Option<ServerConfig>, Mistake> {
    let (Some(certificate), Some(key)) = (&server.tls_cert_file, &server.tls_key_file) else {
        return Ok(None);
    };
    let chain = chain(certificate)?;
    let mistake = |text: String| Mistake { key: "server.tls_key_file".to_owned(), message: text };
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| mistake(format!("cannot read a private key from {key}: {error}")))?;
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| mistake(format!("{key} and {certificate} cannot be used together: {error}")))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(tls))
}

/// The first certificate of the configured chain.
///
/// # Errors
/// With the key's name, when it cannot be read.
pub fn certificate(server: &Server) -> Result<Option<Certificate>, Mistake> {
    let Some(file) = &server.tls_cert_file else { return Ok(None) };
    let mistake = |text: &str| Mistake { key: "server.tls_cert_file".to_owned(), message: format!("{file}: {text}") };
    let der = chain(file)?.into_iter().next().ok_or_else(|| mistake("holds no certificate"))?;
    let (not_before, not_after) = validity(&der).ok_or_else(|| mistake("the certificate's dates cannot be read"))?;
    Ok(Some(Certificate { not_before, not_after, der }))
}

fn chain(file: &str) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    let mistake = |text: String| Mistake { key: "server.tls_cert_file".to_owned(), message: text };
    let chain = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| mistake(format!("cannot read certificates from {file}: {error}")))?;
    if chain.is_empty() { Err(mistake(format!("{file} holds no certificate"))) } else { Ok(chain) }
}

/// `notBefore` and `notAfter` of a certificate (RFC 5280 §4.1).
fn validity(certificate: &[u8]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut fields, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (tag, from, rest) = element(validity)?;
    let (until_tag, until, _) = element(rest)?;
    Some((time(tag, from)?, time(until_tag, until)?))
}

/// Tag, content and what follows of a DER element with a one-byte tag.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let digits = usize::from(first & 0x7f);
        if !(1..=4).contains(&digits) || rest.len() < digits {
            return None;
        }
        let (head, tail) = rest.split_at(digits);
        length = head.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = tail;
    }
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

/// `UTCTime` (two digits of the year, 1950 to 2049) or `GeneralizedTime`.
fn time(tag: u8, text: &[u8]) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        0x17 => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            format!("{century}{text}")
        }
        0x18 => text.to_owned(),
        _ => return None,
    };
    Some(NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_time_are_read() {
        let text = |tag, text: &[u8]| time(tag, text).map(|time| time.to_rfc3339());
        assert_eq!(text(0x17, b"261124120000Z").as_deref(), Some("2026-11-24T12:00:00+00:00"));
        assert_eq!(text(0x17, b"500101000000Z").as_deref(), Some("1950-01-01T00:00:00+00:00"));
        assert_eq!(text(0x18, b"20500101000000Z").as_deref(), Some("2050-01-01T00:00:00+00:00"));
        assert_eq!(text(0x17, b"nonsense"), None);
        assert_eq!(text(0x02, b"261124120000Z"), None);
    }

    #[test]
    fn a_cut_or_lying_certificate_is_no_panic() {
        assert!(validity(&[]).is_none());
        assert!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(validity(&[0x30, 0x02, 0x30, 0x05]).is_none());
        assert!(validity(&[0x30, 0x80]).is_none());
    }
}
