//! What looks like a secret, so that one that slipped into the configuration is refused instead of used, logged or committed.

/// What the text looks like, if it looks like a secret.
pub(super) fn looks_like(text: &str) -> Option<&'static str> {
    let trimmed = text.trim();
    let hex = trimmed.strip_prefix("0x").unwrap_or(trimmed);
    if matches!(hex.len(), 64 | 128) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some("a private key");
    }
    if trimmed.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    if ["xprv", "yprv", "zprv", "tprv"].iter().any(|prefix| trimmed.starts_with(prefix)) && trimmed.len() > 100 {
        return Some("an extended private key");
    }
    // BIP-39: 12 to 24 words, a multiple of three, of three to eight lower-case letters. Prose of that shape is rare enough.
    let words: Vec<&str> = trimmed.split_ascii_whitespace().collect();
    let is_word = |word: &&str| (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase());
    if matches!(words.len(), 12 | 15 | 18 | 21 | 24) && words.iter().all(is_word) {
        return Some("a mnemonic");
    }
    None
}

/// Whether a field of this name would hold a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["passphrase", "password", "secret", "private_key", "mnemonic", "seed_phrase"]
        .iter()
        .any(|word| name.contains(word))
        || name == "pin"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_mnemonics_are_recognised_and_names_are_not() {
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        // BIP-39's first test vector (trezor/python-mnemonic, vectors.json).
        let mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        assert_eq!(looks_like(key), Some("a private key"));
        assert_eq!(looks_like(&format!(" 0x{key}\n")), Some("a private key"));
        assert_eq!(looks_like(mnemonic), Some("a mnemonic"));
        assert_eq!(looks_like("-----BEGIN EC PRIVATE KEY-----\nMHQ"), Some("a private key"));
        for harmless in [
            "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045",
            "run/sigwarden.sock",
            "the quick brown fox",
        ] {
            assert_eq!(looks_like(harmless), None, "{harmless}");
        }
    }
}
