//! How good a passphrase must be on each network.

use crate::arena::wipe_deep_stack;
use crate::os::wiping_freed_memory;
use crate::secret::Passphrase;
use sigwarden_core::Network;
use zeroize::Zeroizing;
use zxcvbn::feedback::Feedback;

/// What a passphrase protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassphraseFor {
    /// The vault, behind Argon2id.
    Vault,
    /// A keystore directory, whose `.enc` files are made to be carried about, behind PBKDF2.
    Keystore,
}

/// What a network asks of a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    /// Characters below which it is refused.
    characters: usize,
    /// The score below which it is refused.
    score: u8,
    /// The score below which it is warned of.
    warn_below: u8,
}

fn rule(network: Network, purpose: PassphraseFor) -> Rule {
    let (characters, score, warn_below) = match (network, purpose) {
        (Network::Devnet, PassphraseFor::Vault | PassphraseFor::Keystore) => (1, 0, 0),
        (Network::TestnetAlpha | Network::TestnetBeta, PassphraseFor::Vault | PassphraseFor::Keystore) => (12, 0, 3),
        (Network::Mainnet, PassphraseFor::Vault) => (16, 4, 4),
        (Network::Mainnet, PassphraseFor::Keystore) => (20, 4, 4),
    };
    Rule {
        characters,
        score,
        warn_below,
    }
}

/// A passphrase that a network refuses. Says what was found and what would be right, never the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{network} refuses it: it has {characters} characters and a score of {score} of 4 (zxcvbn); at least {wanted_characters} characters \
     and a score of {wanted_score} are wanted{}. {advice}",
    match .purpose { PassphraseFor::Vault => "", PassphraseFor::Keystore => " for `.enc` keystores" }
)]
pub struct WeakPassphrase {
    /// The network.
    pub network: Network,
    /// What it protects.
    pub purpose: PassphraseFor,
    /// Its characters.
    pub characters: usize,
    /// Its score, 0 to 4.
    pub score: u8,
    /// The characters wanted.
    pub wanted_characters: usize,
    /// The score wanted.
    pub wanted_score: u8,
    /// How to do better.
    pub advice: String,
}

/// A passphrase that a network takes, and would rather not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its score is {score} of 4 (zxcvbn), and mainnet would refuse one below 4. {advice}")]
pub struct PassphraseWarning {
    /// Its score, 0 to 4.
    pub score: u8,
    /// How to do better.
    pub advice: String,
}

/// Judges a passphrase, where it is chosen and where it is used: mainnet wants 16 characters (20 for keystores) and a zxcvbn score of 4;
/// test networks refuse under 12 characters and warn below a score of 3; devnet takes any.
///
/// # Errors
/// It is too weak for the network.
pub fn check_passphrase(
    passphrase: &Passphrase,
    network: Network,
    purpose: PassphraseFor,
) -> Result<Vec<PassphraseWarning>, WeakPassphrase> {
    let rule = rule(network, purpose);
    if rule.warn_below == 0 {
        return Ok(Vec::new());
    }
    // What is not text is judged by its bytes, each as a character.
    let bytes = passphrase.expose_secret();
    let text = Zeroizing::new(match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    });
    let characters = text.chars().count();
    // The library keeps pieces of the passphrase on the heap and on the stack.
    let (score, advice) = wiping_freed_memory(|| judge(&text));
    wipe_deep_stack();
    if characters < rule.characters || score < rule.score {
        return Err(WeakPassphrase {
            network,
            purpose,
            characters,
            score,
            wanted_characters: rule.characters,
            wanted_score: rule.score,
            advice,
        });
    }
    if score < rule.warn_below {
        return Ok(vec![PassphraseWarning { score, advice }]);
    }
    Ok(Vec::new())
}

/// zxcvbn's score, and what it and we would do. The library looks at the first 100 characters.
#[inline(never)]
fn judge(text: &str) -> (u8, String) {
    let entropy = zxcvbn::zxcvbn(text, &["sigwarden", "validator", "mainnet"]);
    let mut advice = "Six words drawn at random make a good one.".to_owned();
    // Sentences from a closed list: none quotes the passphrase.
    for suggestion in entropy.feedback().map(Feedback::suggestions).unwrap_or_default() {
        advice.push(' ');
        advice.push_str(&suggestion.to_string());
    }
    (u8::from(entropy.score()), advice)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    /// Score 4, of 16, 20 and 12 characters; scores below.
    const STRONG_16: &str = "vq7!mZ2#kd9$Lw0x";
    const STRONG_20: &str = "vq7!mZ2#kd9$Lw0xT5^b";
    const STRONG_12: &str = "vq7!mZ2#kd9$";
    const WEAK_16: &str = "passwordpassword";
    const WEAK_20: &str = "passwordpasswordpass";

    fn check(text: &str, network: Network, purpose: PassphraseFor) -> Result<Vec<PassphraseWarning>, WeakPassphrase> {
        check_passphrase(&Passphrase::from_bytes(text.into()).ok().unwrap(), network, purpose)
    }

    #[test]
    fn mainnet_wants_sixteen_characters_and_a_score_of_4() {
        let vault = |text| check(text, Network::Mainnet, PassphraseFor::Vault);
        assert_eq!(vault(STRONG_16), Ok(Vec::new()));
        let short = vault(&STRONG_16[..15]).unwrap_err();
        assert_eq!(
            (short.characters, short.score, short.wanted_characters, short.wanted_score),
            (15, 4, 16, 4)
        );
        let weak = vault(WEAK_16).unwrap_err();
        assert_eq!(weak.characters, 16);
        assert!(weak.score < 4, "{}", weak.score);
    }

    #[test]
    fn keystores_on_mainnet_want_twenty() {
        let keystore = |text| check(text, Network::Mainnet, PassphraseFor::Keystore);
        assert_eq!(keystore(STRONG_20), Ok(Vec::new()));
        assert_eq!(keystore(&STRONG_20[..19]).unwrap_err().wanted_characters, 20);
        assert!(keystore(WEAK_20).is_err());
        assert_eq!(check(&STRONG_20[..19], Network::Mainnet, PassphraseFor::Vault), Ok(Vec::new()));
    }

    #[test]
    fn test_networks_refuse_under_twelve_and_warn_of_weak_ones() {
        for network in [Network::TestnetAlpha, Network::TestnetBeta] {
            for purpose in [PassphraseFor::Vault, PassphraseFor::Keystore] {
                assert_eq!(check(STRONG_12, network, purpose), Ok(Vec::new()));
                assert_eq!(check(&STRONG_12[..11], network, purpose).unwrap_err().wanted_characters, 12);
                let warnings = check(WEAK_16, network, purpose).unwrap();
                assert!(matches!(warnings.as_slice(), [warning] if warning.score < 3), "{warnings:?}");
            }
        }
    }

    #[test]
    fn devnet_takes_any() {
        for purpose in [PassphraseFor::Vault, PassphraseFor::Keystore] {
            assert_eq!(check("a", Network::Devnet, purpose), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_refusal_says_score_rule_and_remedy_and_never_the_passphrase() {
        let text = check("trustno1tiger", Network::Mainnet, PassphraseFor::Vault)
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with("mainnet refuses it: it has 13 characters and a score of "),
            "{text}"
        );
        assert!(
            text.contains("at least 16 characters and a score of 4 are wanted. Six words"),
            "{text}"
        );
        assert!(!text.contains("trustno1") && !text.contains("tiger"), "{text}");
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let umlauts = check("äöüäöüäöüäö", Network::TestnetBeta, PassphraseFor::Vault).unwrap_err();
        assert_eq!(umlauts.characters, 11);
        let bytes = Passphrase::from_bytes(vec![0xff; 11]).ok().unwrap();
        let bytes = check_passphrase(&bytes, Network::TestnetBeta, PassphraseFor::Vault).unwrap_err();
        assert_eq!(bytes.characters, 11);
    }
}
