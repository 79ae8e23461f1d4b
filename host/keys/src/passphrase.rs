//! Where a passphrase or PIN comes from: a prompt without echo, a file, or a variable that the configuration names. Never an argument.

use crate::files::{FileError, read_secret_file};
use crate::os::{TakeVariableError, take_variable};
use crate::secret::Passphrase;
use crate::shield::ShieldError;
use rpassword::{Config, ConfigBuilder, prompt_password_with_config};
use std::io;
use std::path::Path;
use subtle::ConstantTimeEq;

/// Why there is no passphrase. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// Too long.
    #[error("the passphrase has {0} bytes, {max} are the most", max = Passphrase::MAX)]
    Long(usize),
    /// Nobody to ask.
    #[error(
        "there is no terminal to ask for the passphrase on ({0}): put it into a file of mode 0600 or an environment variable, and name that"
    )]
    NoTerminal(io::Error),
    /// The second time was not like the first.
    #[error("the two passphrases differ; nothing was changed")]
    Differ,
    /// The file is not fit to hold one.
    #[error(transparent)]
    File(#[from] FileError),
    /// The variable cannot be taken.
    #[error(transparent)]
    Variable(#[from] TakeVariableError),
    /// A PIN that is no text.
    #[error("it is not UTF-8 text, as a PIN is")]
    NotText,
    /// It cannot be kept, or was changed meanwhile.
    #[error(transparent)]
    Shield(#[from] ShieldError),
}

impl Passphrase {
    /// Asks on the terminal, without echo.
    ///
    /// # Errors
    /// No terminal, or an empty or overlong answer.
    pub fn prompt(question: &str) -> Result<Self, PassphraseError> {
        ask(question, ConfigBuilder::new().build())
    }

    /// Asks twice: for a passphrase that is being chosen.
    ///
    /// # Errors
    /// As [`Self::prompt`], and if the answers differ.
    pub fn prompt_twice(question: &str) -> Result<Self, PassphraseError> {
        let first = Self::prompt(question)?;
        same(first, &Self::prompt("The same again: ")?)
    }

    /// Reads a file that belongs to this user, with mode 0600 or 0400, at most 4 KiB. One line ending at its end is dropped.
    ///
    /// # Errors
    /// The file is not such a file, or holds nothing.
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        // Two bytes more, for the line ending.
        let bytes = read_secret_file(path, Self::MAX as u64 + 2)?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        Self::from_bytes(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
    }

    /// Takes an environment variable, which is removed and wiped. Call it at the top of main: it refuses once other threads run,
    /// since the C library reads the environment without a lock.
    ///
    /// # Errors
    /// The variable is not set or empty, or other threads run.
    pub fn from_env_var(name: &str) -> Result<Self, PassphraseError> {
        Self::from_bytes(take_variable(name)?.to_vec())
    }
}

fn ask(question: &str, config: Config) -> Result<Passphrase, PassphraseError> {
    let answer = prompt_password_with_config(question, config).map_err(PassphraseError::NoTerminal)?;
    Passphrase::from_bytes(answer.into_bytes())
}

fn same(first: Passphrase, second: &Passphrase) -> Result<Passphrase, PassphraseError> {
    if first.expose_secret().ct_eq(second.expose_secret()).into() {
        Ok(first)
    } else {
        Err(PassphraseError::Differ)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(bytes: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_file_gives_its_bytes_without_the_line_ending() {
        for (bytes, wanted) in [
            (b"with space ".as_slice(), b"with space ".as_slice()),
            (b"line\n", b"line"),
            (b"line\r\n", b"line"),
            (b"two\n\n", b"two\n"),
        ] {
            let passphrase = Passphrase::from_file(file(bytes, 0o600).path()).ok().unwrap();
            assert_eq!(passphrase.expose_secret(), wanted);
        }
        assert!(Passphrase::from_file(file(b"x", 0o400).path()).is_ok());
    }

    #[test]
    fn an_empty_file_is_no_passphrase() {
        for bytes in [b"".as_slice(), b"\n", b"\r\n"] {
            assert!(matches!(
                Passphrase::from_file(file(bytes, 0o600).path()),
                Err(PassphraseError::Empty)
            ));
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let file = file(b"secret", 0o640);
        let Err(error) = Passphrase::from_file(file.path()) else {
            panic!("it was read");
        };
        let text = error.to_string();
        let path = file.path().display();
        assert_eq!(
            text,
            format!("{path} has mode 0640, and must be for its owner alone: `chmod 600 {path}`")
        );
    }

    #[test]
    fn a_file_of_over_4_kib_is_refused() {
        let too_long = file(&[b'a'; 4099], 0o600);
        assert!(matches!(
            Passphrase::from_file(too_long.path()),
            Err(PassphraseError::File(FileError::TooLarge { size: 4099, .. }))
        ));
        let longest = file(&[&[b'a'; 4096], b"\r\n".as_slice()].concat(), 0o600);
        assert_eq!(Passphrase::from_file(longest.path()).ok().unwrap().expose_secret().len(), 4096);
    }

    #[test]
    fn an_answer_is_taken_as_typed() {
        let config = |input: &'static str| ConfigBuilder::new().input_data(input).output_discard().build();
        let passphrase = ask("? ", config("correct horse\n")).ok().unwrap();
        assert_eq!(passphrase.expose_secret(), b"correct horse");
        assert!(matches!(ask("? ", config("\n")), Err(PassphraseError::Empty)));
    }

    #[test]
    fn without_a_terminal_it_says_what_else_to_use() {
        let missing = ConfigBuilder::new().input_file_path("/nonexistent/tty").output_discard().build();
        let Err(error) = ask("? ", missing) else {
            panic!("there is no such terminal")
        };
        assert!(
            error
                .to_string()
                .contains("put it into a file of mode 0600 or an environment variable")
        );
    }

    #[test]
    fn two_answers_that_differ_are_refused() {
        let passphrase = |text: &str| Passphrase::from_bytes(text.into()).ok().unwrap();
        assert!(matches!(same(passphrase("one"), &passphrase("two")), Err(PassphraseError::Differ)));
        assert!(same(passphrase("one"), &passphrase("one")).is_ok());
    }
}
