//! What it would cost to open an encrypted private key. The file says it, so whoever wrote the file decides: a key that
//! asks for hours or for all memory is refused before anything is derived.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pkcs8::{
    EncryptedPrivateKeyInfoRef,
    pkcs5::{EncryptionScheme, pbes2::Kdf as Pbes2},
};
use russh::keys::{
    PrivateKey,
    ssh_key::{Kdf, public::KeyData},
};

/// Rounds of bcrypt; `ssh-keygen` writes 16 to 24, and 100 where guides are followed. About 8 ms each.
const MAX_BCRYPT_ROUNDS: u32 = 128;
/// Kibibytes of Argon2; PuTTY writes 8,192.
const MAX_ARGON2_MEMORY: u64 = 65_536;
/// Kibibytes that all passes of Argon2 together walk over.
const MAX_ARGON2_WORK: u64 = 1_048_576;
const MAX_ARGON2_LANES: u64 = 16;
/// Iterations of PBKDF2.
const MAX_PBKDF2_ITERATIONS: u32 = 2_000_000;
/// Bytes of scrypt.
const MAX_SCRYPT_MEMORY: u64 = 64 * 1024 * 1024;
const MAX_SCRYPT_LANES: u64 = 4;
/// Bits of an RSA key: what a signature costs grows with the cube.
const MAX_RSA_BITS: u32 = 8_192;
/// Bytes of a key's file.
pub(super) const MAX_BYTES: usize = 65_536;

/// Why a private key is not tried.
const TOO_COSTLY: &str = "the private key takes too much time or memory to open: encrypt it with fewer rounds";
const AMBIGUOUS: &str = "the private key's file must hold one key and nothing else";
const TOO_LONG: &str = "the private key is longer than 64 KiB";
const TOO_LARGE: &str = "an RSA key may have 8,192 bits at the most";

/// Refuses a key's file that would cost too much to open. Nothing is derived here.
///
/// # Errors
/// With what is wrong about it, never with any of its text.
pub fn affordable(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_BYTES {
        return Err(TOO_LONG);
    }
    if text.trim().starts_with("PuTTY-User-Key-File-") {
        return putty(text);
    }
    // With one line of each kind there is one way to read it.
    let begins = text.lines().filter(|line| line.contains("-----BEGIN ")).collect::<Vec<_>>();
    match *begins.as_slice() {
        // No key: whoever reads it says so.
        [] => Ok(()),
        ["-----BEGIN OPENSSH PRIVATE KEY-----"] => openssh(&contents(text)?),
        [_] => pkcs8(&contents(text)?),
        _ => Err(AMBIGUOUS),
    }
}

/// Refuses a key that would cost too much to sign with.
///
/// # Errors
/// With what is wrong about it.
pub fn affordable_to_use(key: &PrivateKey) -> Result<(), &'static str> {
    match key.public_key().key_data() {
        KeyData::Rsa(rsa) if rsa.key_size() > MAX_RSA_BITS => Err(TOO_LARGE),
        _ => Ok(()),
    }
}

/// The bytes between the lines that begin and end it, as the library that opens it collects them.
fn contents(text: &str) -> Result<Vec<u8>, &'static str> {
    let is_data = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let encoded = text
        .lines()
        .skip_while(|line| !line.contains("-----BEGIN "))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END "))
        .filter(|line| line.bytes().all(is_data))
        .collect::<String>();
    STANDARD.decode(encoded).map_err(|_| "the private key cannot be read")
}

fn openssh(bytes: &[u8]) -> Result<(), &'static str> {
    match PrivateKey::from_bytes(bytes).as_ref().map(PrivateKey::kdf) {
        Ok(Kdf::None) | Err(_) => Ok(()),
        Ok(Kdf::Bcrypt { rounds, .. }) if *rounds <= MAX_BCRYPT_ROUNDS => Ok(()),
        Ok(_) => Err(TOO_COSTLY),
    }
}

/// PKCS #8 with a password (RFC 5958 section 3, RFC 8018 section 6); what is not that costs nothing.
fn pkcs8(bytes: &[u8]) -> Result<(), &'static str> {
    let Ok(info) = EncryptedPrivateKeyInfoRef::try_from(bytes) else { return Ok(()) };
    let fits = match info.encryption_algorithm {
        // At most 65,535 rounds of a fast hash.
        EncryptionScheme::Pbes1(_) => true,
        EncryptionScheme::Pbes2(parameters) => match parameters.kdf {
            Pbes2::Pbkdf2(kdf) => kdf.iteration_count <= MAX_PBKDF2_ITERATIONS,
            Pbes2::Scrypt(kdf) => {
                let memory = kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size)).saturating_mul(128);
                memory <= MAX_SCRYPT_MEMORY && u64::from(kdf.parallelization) <= MAX_SCRYPT_LANES
            }
            _ => false,
        },
        _ => false,
    };
    if fits { Ok(()) } else { Err(TOO_COSTLY) }
}

/// PuTTY's own format, version 3: its Argon2 is three lines of text. Of a line that is there twice, the greatest counts.
fn putty(text: &str) -> Result<(), &'static str> {
    let greatest = |name: &str| {
        let values = text.lines().filter_map(|line| line.trim().strip_prefix(name));
        // What is no number is none to whoever reads it either.
        values.filter_map(|value| value.trim_start_matches(':').trim().parse::<u64>().ok()).max().unwrap_or_default()
    };
    let memory = greatest("Argon2-Memory");
    let work = memory.saturating_mul(greatest("Argon2-Passes"));
    if memory > MAX_ARGON2_MEMORY || work > MAX_ARGON2_WORK || greatest("Argon2-Parallelism") > MAX_ARGON2_LANES {
        return Err(TOO_COSTLY);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, decode_secret_key, encode_pkcs8_pem_encrypted, key::safe_rng, ssh_key::LineEnding};

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
    }

    /// An OpenSSH key whose file asks for so many rounds. The passphrase opens it only where they are as before.
    fn with_rounds(rounds: u32) -> String {
        let encrypted = key().encrypt(&mut safe_rng(), "passphrase").unwrap();
        let mut bytes = encrypted.to_bytes().unwrap().to_vec();
        // "bcrypt", then the options: their length, the salt with its own, the rounds.
        let at = bytes.windows(6).position(|window| window == b"bcrypt").unwrap() + 6 + 4;
        let salt = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        bytes[at + 4 + salt..at + 8 + salt].copy_from_slice(&rounds.to_be_bytes());
        let encoded = STANDARD.encode(bytes);
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{encoded}\n-----END OPENSSH PRIVATE KEY-----\n")
    }

    #[test]
    fn ordinary_keys_are_opened() {
        let plain = key().to_openssh(LineEnding::LF).unwrap();
        let encrypted = key().encrypt(&mut safe_rng(), "passphrase").unwrap().to_openssh(LineEnding::LF).unwrap();
        assert_eq!((affordable(&plain), affordable(&encrypted)), (Ok(()), Ok(())));
        assert!(decode_secret_key(&encrypted, Some("passphrase")).is_ok());
        assert_eq!(affordable(&encrypted.replace('\n', "\r\n")), Ok(()));
        let mut pem = Vec::new();
        encode_pkcs8_pem_encrypted(&key(), b"passphrase", 1_000, &mut pem).unwrap();
        assert_eq!(affordable(std::str::from_utf8(&pem).unwrap()), Ok(()));
        assert_eq!(affordable("no key at all"), Ok(()));
    }

    #[test]
    fn what_costs_too_much_is_refused_before_anything_is_derived() {
        let begun = std::time::Instant::now();
        assert_eq!(affordable(&with_rounds(MAX_BCRYPT_ROUNDS)), Ok(()));
        for rounds in [MAX_BCRYPT_ROUNDS + 1, 600, u32::MAX] {
            assert_eq!(affordable(&with_rounds(rounds)), Err(TOO_COSTLY), "{rounds}");
        }
        let putty = |memory: &str, passes: &str, lanes: &str| {
            format!(
                "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\nKey-Derivation: Argon2id\n\
                 Argon2-Memory: {memory}\nArgon2-Passes: {passes}\nArgon2-Parallelism: {lanes}\n"
            )
        };
        assert_eq!(affordable(&putty("8192", "21", "1")), Ok(()));
        for costly in [
            putty("1048576", "1", "1"),
            putty("8192", "4000000000", "1"),
            putty("8192", "8", "16777215"),
            putty("8", "8", "1") + "Argon2-Memory: 1048576\n",
        ] {
            assert_eq!(affordable(&costly), Err(TOO_COSTLY), "{costly}");
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "something was derived");
        let mut pem = Vec::new();
        encode_pkcs8_pem_encrypted(&key(), b"passphrase", MAX_PBKDF2_ITERATIONS + 1, &mut pem).unwrap();
        assert_eq!(affordable(std::str::from_utf8(&pem).unwrap()), Err(TOO_COSTLY));
    }

    #[test]
    fn a_file_that_can_be_read_in_two_ways_is_refused() {
        let one = key().to_openssh(LineEnding::LF).unwrap().to_string();
        assert_eq!(affordable(&format!("{one}{one}")), Err(AMBIGUOUS));
        let nested = one.replacen('\n', "\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 1);
        assert_eq!(affordable(&nested), Err(AMBIGUOUS));
        assert_eq!(affordable(&"x".repeat(MAX_BYTES + 1)), Err(TOO_LONG));
    }
}
