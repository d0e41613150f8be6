//! Which algorithms are offered to a target: modern ones only, older ones only where an admin
//! allowed them for that target.

use std::borrow::Cow;

use russh::{
    Preferred, cipher, compression, kex,
    keys::{Algorithm, EcdsaCurve, HashAlg},
    mac,
};

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
const KEX_LEGACY: &[kex::Name] = &[kex::DH_GEX_SHA1, kex::DH_G14_SHA1, kex::DH_G1_SHA1];
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const CIPHERS_LEGACY: &[cipher::Name] = &[cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];
const MACS_LEGACY: &[mac::Name] = &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// Host key algorithms that count as safe, most preferred first.
pub(super) const HOST_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// What is offered. `first` are the algorithms of keys that are trusted already, so that a target
/// with several keys shows one of those; `certificates` asks for host certificates.
pub(super) fn preferred(legacy: bool, first: &[Algorithm], certificates: bool) -> Preferred {
    let mut keys = HOST_KEYS.to_vec();
    if legacy {
        keys.push(Algorithm::Rsa { hash: None });
    }
    // A stable sort keeps the order of preference within both halves.
    keys.sort_by_key(|algorithm| !first.iter().any(|trusted| same_kind(trusted, algorithm)));
    Preferred {
        kex: with_legacy(KEX, KEX_LEGACY, legacy),
        host_key_certificates: if certificates { Cow::Owned(keys.clone()) } else { Cow::Borrowed(&[]) },
        key: Cow::Owned(keys),
        cipher: with_legacy(CIPHERS, CIPHERS_LEGACY, legacy),
        mac: with_legacy(MACS, MACS_LEGACY, legacy),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// Whether two algorithms are for the same kind of key: RSA keys sign with several hashes.
pub(super) fn same_kind(left: &Algorithm, right: &Algorithm) -> bool {
    left == right || (is_rsa(left) && is_rsa(right))
}

pub(super) fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { .. })
}

fn with_legacy<T: Copy>(modern: &'static [T], old: &[T], legacy: bool) -> Cow<'static, [T]> {
    if legacy { Cow::Owned([modern, old].concat()) } else { Cow::Borrowed(modern) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(preferred: &Preferred) -> Vec<String> {
        let kex = preferred.kex.iter().map(|name| name.as_ref().to_owned());
        let ciphers = preferred.cipher.iter().map(|name| name.as_ref().to_owned());
        let macs = preferred.mac.iter().map(|name| name.as_ref().to_owned());
        let keys = preferred.key.iter().map(|key| key.as_str().to_owned());
        kex.chain(ciphers).chain(macs).chain(keys).collect()
    }

    #[test]
    fn sha1_and_cbc_are_offered_on_request_only() {
        let weak = |name: &String| name.ends_with("sha1") || name.contains("cbc") || name == "ssh-rsa";
        assert_eq!(names(&preferred(false, &[], false)).into_iter().filter(weak).collect::<Vec<_>>(), [""; 0]);
        assert!(names(&preferred(true, &[], false)).iter().any(weak));
    }

    #[test]
    fn algorithms_of_trusted_keys_come_first() {
        let offered = preferred(false, &[Algorithm::Rsa { hash: None }], false);
        assert_eq!(offered.key[0], Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
        assert_eq!(offered.key[2], Algorithm::Ed25519);
    }
}
