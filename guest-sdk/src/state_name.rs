//! Names of buckets, watermarks and stored values that are made of parts.

use sha2::{Digest, Sha256};

/// The host's longest name.
const NAME_MAX: usize = 256;

/// A name of several parts, none of which can read as another: `head/5:parts/6:inside`, each with its length in bytes. A name over
/// the host's 256 bytes is the head with a SHA-256 of the whole. `head` says whose state it is and has at most 64 bytes.
#[must_use]
pub fn state_name(head: &str, parts: &[&str]) -> String {
    let mut name = String::with_capacity(head.len() + parts.iter().map(|part| part.len() + 5).sum::<usize>());
    name.push_str(head);
    for part in parts {
        name.push('/');
        push_decimal(&mut name, part.len());
        name.push(':');
        name.push_str(part);
    }
    if name.len() > NAME_MAX {
        return format!("{head}/sha256:{}", hex::encode(Sha256::digest(&name)));
    }
    name
}

/// Without the machinery of `format!`, which costs more than the rest.
fn push_decimal(text: &mut String, number: usize) {
    if number >= 10 {
        push_decimal(text, number / 10);
    }
    text.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or(0)));
}

#[cfg(test)]
mod tests {
    use super::state_name;

    #[test]
    fn parts_cannot_read_as_each_other() {
        assert_eq!(state_name("nonce", &["02ab", "1"]), "nonce/4:02ab/1:1");
        assert_eq!(state_name("shared", &[]), "shared");
        assert_ne!(state_name("r", &["a/1:b"]), state_name("r", &["a", "b"]));
        assert_eq!(state_name("r", &["0123456789"]), "r/10:0123456789");
    }

    #[test]
    fn a_name_that_is_too_long_becomes_a_hash_of_the_whole() {
        let long = "x".repeat(300);
        let name = state_name("rule", &[&long]);
        assert_eq!(name.len(), "rule/sha256:".len() + 64);
        assert_ne!(name, state_name("rule", &[&format!("{long}y")]));
        assert_eq!(state_name("r", &[&"x".repeat(250)]).len(), 256);
        assert!(state_name("r", &[&"x".repeat(251)]).starts_with("r/sha256:"));
    }
}
