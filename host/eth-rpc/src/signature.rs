//! The pipeline's signature in Ethereum's form.

use crate::Account;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::{Code, Format, RawSignature, Refusal, Scheme};

/// R‖S and the parity of R's y coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) r_s: [u8; 64],
    /// 0 or 1.
    pub(crate) y_parity: u8,
}

impl Signature {
    /// Takes what the pipeline returned for a payload of this account. A recorded signature may have lost its recovery id; it is found
    /// again.
    pub(crate) fn of(account: &Account, format: Format, payload: &[u8], raw: &RawSignature) -> Result<Self, Refusal> {
        let fault = || Refusal::new(Code::Internal, "the signature is not of the form that Ethereum takes");
        let r_s: [u8; 64] = raw.bytes.as_slice().try_into().map_err(|_| fault())?;
        let y_parity = match raw.recovery_id {
            Some(id @ (0 | 1)) => id,
            // R was at or above the order: once in 2^127 signatures, and no transaction can carry it.
            Some(_) => return Err(fault()),
            None => find_parity(account, format, payload, &r_s).ok_or_else(fault)?,
        };
        Ok(Self { r_s, y_parity })
    }

    /// `r || s || v` with v 27 or 28, as `eth_sign` and its kin return it.
    pub(crate) fn with_v(&self) -> String {
        format!("0x{}{:02x}", hex::encode(self.r_s), 27 + self.y_parity)
    }
}

fn find_parity(account: &Account, format: Format, payload: &[u8], r_s: &[u8; 64]) -> Option<u8> {
    let decoded = sigwarden_formats::decode(format, Scheme::Secp256k1Ecdsa, payload).ok()?;
    let SigningInput::Digest(digest) = decoded.inputs.first else {
        return None;
    };
    let message = secp256k1::Message::from_digest(digest);
    [0, 1].into_iter().find(|parity| {
        let id = RecoveryId::try_from(i32::from(*parity));
        let signature = id.and_then(|id| RecoverableSignature::from_compact(r_s, id));
        signature.and_then(|signature| signature.recover(message)).as_ref() == Ok(account.public_key())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use secp256k1::{Message, SecretKey};

    #[test]
    fn a_lost_recovery_id_is_found_again() {
        let secret = SecretKey::from_secret_bytes([0x46; 32]).unwrap();
        let account = Account::new("evm.hot", &secp256k1::PublicKey::from_secret_key(&secret).serialize()).unwrap();
        let mut seen = [false; 2];
        for message in 0_u8..16 {
            let payload = [message];
            let digest = sigwarden_formats::evm::signed_message_hash(&payload);
            let signed = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest), &secret);
            let (id, bytes) = signed.serialize_compact();
            let mut raw = RawSignature {
                bytes: bytes.to_vec(),
                recovery_id: None,
            };
            let found = Signature::of(&account, Format::EvmEip191, &payload, &raw).unwrap();
            assert_eq!(found.y_parity, id.to_u8());
            seen[usize::from(found.y_parity)] = true;
            raw.recovery_id = Some(found.y_parity);
            assert_eq!(Signature::of(&account, Format::EvmEip191, &payload, &raw).unwrap(), found);
            raw.recovery_id = Some(2);
            assert_eq!(
                Signature::of(&account, Format::EvmEip191, &payload, &raw).unwrap_err().kind(),
                Code::Internal
            );
            raw.recovery_id = None;
            assert!(Signature::of(&account, Format::EvmEip191, b"another", &raw).is_err());
        }
        assert_eq!(seen, [true; 2]);
    }
}
