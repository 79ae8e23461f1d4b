//! A payload and its signature put together: the raw signed transaction that a node takes.

use super::{Eip1559, Eip2930, Eip4844, Eip7702, Legacy};
use sigwarden_core::fact::PayloadError;

/// Puts the signature `R || S` and its recovery id (0 or 1) into an unsigned transaction of any of the `evm/*` transaction formats. A blob
/// transaction comes back without blobs, as it stands in a block; what `eth_sendRawTransaction` takes has them around it.
///
/// # Errors
/// The payload is no canonical unsigned transaction, or the recovery id is neither 0 nor 1.
///
/// ```
/// use sigwarden_formats::evm;
/// // EIP-155, section "Example".
/// let payload = hex::decode("ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080").unwrap();
/// let signature: [u8; 64] = hex::decode(concat!(
///     "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
///     "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
/// )).unwrap().try_into().unwrap();
/// let raw = evm::signed(&payload, &signature, 0).unwrap();
/// assert_eq!(hex::encode(raw), concat!(
///     "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025",
///     "a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
///     "a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
/// ));
/// ```
pub fn signed(payload: &[u8], signature: &[u8; 64], recovery_id: u8) -> Result<Vec<u8>, PayloadError> {
    if recovery_id > 1 {
        return Err(PayloadError::Malformed(format!(
            "the recovery id is {recovery_id}; a transaction carries 0 or 1"
        )));
    }
    let (mut r, mut s) = ([0; 32], [0; 32]);
    let (first, second) = signature.split_at(32);
    r.copy_from_slice(first);
    s.copy_from_slice(second);
    Ok(match payload.first() {
        Some(&Eip2930::TYPE) => Eip2930::parse(payload)?.signed(&r, &s, recovery_id),
        Some(&Eip1559::TYPE) => Eip1559::parse(payload)?.signed(&r, &s, recovery_id),
        Some(&Eip4844::TYPE) => Eip4844::parse(payload)?.signed(&r, &s, recovery_id),
        Some(&Eip7702::TYPE) => Eip7702::parse(payload)?.signed(&r, &s, recovery_id),
        Some(_) | None => Legacy::parse(payload)?.signed(&r, &s, recovery_id),
    })
}
