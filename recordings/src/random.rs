//! Randomness as a parameter.

use std::convert::Infallible;

use aws_lc_rs::{error::Unspecified, rand::SecureRandom};
pub use hpke::rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

/// Lets the generator that the rest of the program uses stand where [`TryCryptoRng`] is asked for.
pub struct Secure<'a>(pub &'a dyn SecureRandom);

impl TryRng for Secure<'_> {
    type Error = Unspecified;

    fn try_next_u32(&mut self) -> Result<u32, Unspecified> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Unspecified> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Unspecified> {
        self.0.fill(to)
    }
}

impl TryCryptoRng for Secure<'_> {}

/// Bytes drawn beforehand, for a library that cannot be told that a generator failed.
pub(crate) struct Drawn {
    bytes: Zeroizing<[u8; 64]>,
    used: usize,
}

impl Drawn {
    pub fn new<R: TryCryptoRng>(random: &mut R) -> Result<Self, R::Error> {
        let mut bytes = Zeroizing::new([0; 64]);
        random.try_fill_bytes(bytes.as_mut())?;
        Ok(Self { bytes, used: 0 })
    }

    /// Whether more was asked for than had been drawn: then what came of it must be thrown away.
    pub fn overdrawn(&self) -> bool {
        self.used > self.bytes.len()
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        let end = self.used.saturating_add(to.len());
        match self.bytes.get(self.used..end) {
            Some(bytes) => to.copy_from_slice(bytes),
            None => to.fill(0),
        }
        self.used = end;
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_given_once_and_running_out_is_noticed() {
        let system = aws_lc_rs::rand::SystemRandom::new();
        let mut drawn = Drawn::new(&mut Secure(&system)).unwrap();
        let (mut first, mut second) = ([0; 32], [0; 32]);
        let Ok(()) = drawn.try_fill_bytes(&mut first);
        let Ok(()) = drawn.try_fill_bytes(&mut second);
        assert_ne!(first, second);
        assert!(!drawn.overdrawn());
        let Ok(_) = drawn.try_next_u32();
        assert!(drawn.overdrawn());
    }
}
