//! By what a position is taken.

use sha2::{Digest, Sha256};
use sigwarden_guest::{Request, Scalar, SigningInput, Value};

/// SHA-256 over what will be signed, each input after its kind and length: the same message is the same identity.
pub(crate) fn of_signing_inputs(request: &Request) -> [u8; 32] {
    let mut hash = Sha256::new();
    for input in &request.signing_inputs {
        match input {
            SigningInput::Digest(bytes) => tagged(&mut hash, 0, bytes),
            SigningInput::Message(bytes) => tagged(&mut hash, 1, bytes),
        }
    }
    hash.finalize().into()
}

/// SHA-256 over some facts, each with its type and length; one that is absent is a value of its own.
pub(crate) fn of_facts(request: &Request, facts: &[String]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for name in facts {
        match request.fact(name) {
            None => hash.update([2]),
            Some(Value::One(scalar)) => one(&mut hash, scalar),
            Some(Value::Many(list)) => {
                hash.update([3]);
                hash.update(length(list.len()));
                list.iter().for_each(|scalar| one(&mut hash, scalar));
            }
        }
    }
    hash.finalize().into()
}

fn one(hash: &mut Sha256, scalar: &Scalar) {
    match scalar {
        Scalar::Text(text) => tagged(hash, 4, text.as_bytes()),
        Scalar::Bytes(bytes) => tagged(hash, 5, bytes),
        Scalar::Boolean(value) => hash.update([6, u8::from(*value)]),
        Scalar::Unsigned(value) => {
            hash.update([7]);
            hash.update(value.to_be_bytes());
        }
        Scalar::Unsigned256((a, b, c, d)) => {
            hash.update([8]);
            [d, c, b, a].into_iter().for_each(|limb| hash.update(limb.to_be_bytes()));
        }
    }
}

fn tagged(hash: &mut Sha256, tag: u8, bytes: &[u8]) {
    hash.update([tag]);
    hash.update(length(bytes.len()));
    hash.update(bytes);
}

fn length(length: usize) -> [u8; 8] {
    u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes()
}
