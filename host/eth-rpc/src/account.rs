//! Accounts: secp256k1 public keys and their addresses.

use crate::digits::keccak256;

/// A key that the caller may sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    key: String,
    public_key: secp256k1::PublicKey,
    address: [u8; 20],
}

/// A public key that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the public key of `{key}` is no point of secp256k1 in its compressed form of 33 bytes")]
pub struct AccountError {
    key: String,
}

impl Account {
    /// The account of a secp256k1-ecdsa key: its name, with or without version, as [`crate::Ask`] shall name it, and its compressed
    /// public key of 33 bytes (SEC 1 §2.3.3).
    ///
    /// # Errors
    /// The public key is none.
    pub fn new(key: impl Into<String>, public_key: &[u8]) -> Result<Self, AccountError> {
        let key = key.into();
        let point = match public_key
            .try_into()
            .map(|bytes: &[u8; 33]| secp256k1::PublicKey::from_slice(bytes))
        {
            Ok(Ok(point)) => point,
            Ok(Err(_)) | Err(_) => return Err(AccountError { key }),
        };
        // Yellow Paper, appendix F: the last 20 bytes of Keccak-256 of the point's two coordinates.
        let hash = keccak256(&coordinates(&point));
        let mut address = [0; 20];
        address.copy_from_slice(hash.last_chunk::<20>().unwrap_or(&[0; 20]));
        Ok(Self {
            key,
            public_key: point,
            address,
        })
    }

    /// The key's name.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        self.address
    }

    /// The public key as Web3Signer writes it: 64 bytes, the coordinates without a prefix.
    #[must_use]
    pub fn coordinates(&self) -> [u8; 64] {
        coordinates(&self.public_key)
    }

    pub(crate) fn public_key(&self) -> &secp256k1::PublicKey {
        &self.public_key
    }
}

fn coordinates(point: &secp256k1::PublicKey) -> [u8; 64] {
    // 0x04, then the coordinates (SEC 1 §2.3.3).
    let [_, coordinates @ ..] = point.serialize_uncompressed();
    coordinates
}

/// An address in hexadecimal with its checksum (EIP-55).
#[must_use]
pub fn checksummed(address: &[u8; 20]) -> String {
    let lower = hex::encode(address);
    let hash = hex::encode(keccak256(lower.as_bytes()));
    let mixed = lower.chars().zip(hash.chars()).map(|(digit, nibble)| match nibble {
        '8'..='9' | 'a'..='f' => digit.to_ascii_uppercase(),
        _ => digit,
    });
    std::iter::once("0x".to_owned()).chain(mixed.map(String::from)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )]
    use super::*;

    /// EIP-55, the examples of its section "Test Cases".
    #[test]
    fn checksums_are_those_of_eip_55() {
        for address in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let bytes: [u8; 20] = hex::decode(&address[2..]).unwrap().try_into().unwrap();
            assert_eq!(checksummed(&bytes), address);
        }
    }

    /// EIP-155's example: the private key 0x4646…46 is the account 0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F.
    #[test]
    fn the_address_is_the_last_twenty_bytes_of_keccak_256_of_the_point() {
        let secret = secp256k1::SecretKey::from_secret_bytes([0x46; 32]).unwrap();
        let public_key = secp256k1::PublicKey::from_secret_key(&secret);
        let account = Account::new("evm.hot", &public_key.serialize()).unwrap();
        assert_eq!(checksummed(&account.address()), "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F");
        assert_eq!(account.coordinates()[..], public_key.serialize_uncompressed()[1..]);
    }

    #[test]
    fn other_encodings_of_a_public_key_are_refused() {
        let secret = secp256k1::SecretKey::from_secret_bytes([0x46; 32]).unwrap();
        let uncompressed = secp256k1::PublicKey::from_secret_key(&secret).serialize_uncompressed();
        for bytes in [&uncompressed[..], &[], &[2; 32], &[5; 33], &[0xff; 33]] {
            assert!(Account::new("evm.hot", bytes).unwrap_err().to_string().contains("`evm.hot`"));
        }
    }
}
