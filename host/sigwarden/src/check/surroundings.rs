//! What the rules look at, gathered from the system once, so that the rules themselves are plain functions.

use crate::config::{BackendKind, Config, PassphraseSource, Token};
use sigwarden_pkcs11::TokenStatus;
use sigwarden_remote::RemoteStatus;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A deployment and what is around it.
#[derive(Debug, Clone)]
pub struct Surroundings<'c> {
    /// The configuration.
    pub config: &'c Config,
    /// Names of environment variables that carry secrets.
    pub secret_variables: Vec<String>,
    /// The configuration's mode.
    pub config_mode: Option<FileMode>,
    /// The passphrase file's mode, if there is one.
    pub passphrase_mode: Option<FileMode>,
    /// The mode of the directory of sealed files.
    pub vault_mode: Option<FileMode>,
    /// The state directory's mode.
    pub state_mode: Option<FileMode>,
    /// Modes of files with PINs.
    pub pin_modes: Vec<FileMode>,
    /// Modes of PKCS#11 libraries and of their directories.
    pub library_modes: Vec<FileMode>,
    /// Files with a passphrase or a PIN that lie in the deployment.
    pub inside: Vec<PathBuf>,
    /// What the tokens of each backend are like; none if they were not looked at.
    pub tokens: Option<Vec<Vec<TokenStatus>>>,
    /// What the remotes of each backend are like; none if they were not looked at.
    pub remotes: Option<Vec<Vec<RemoteStatus>>>,
    /// Why the process might leave a core dump, if it might.
    pub core_dumps: Option<String>,
}

/// Permissions of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMode {
    /// Which.
    pub path: PathBuf,
    /// The permission bits.
    pub mode: u32,
}

/// Prefixes of variables that carry secrets, ours and those of the IGRA presets.
const SECRET_PREFIXES: [&str; 3] = ["SIGWARDEN_SECRET__", "IGRA_SECRET__", "KASPA_IGRA_WALLET_SECRET"];

impl<'c> Surroundings<'c> {
    /// Gathers them.
    #[must_use]
    pub fn of(config: &'c Config) -> Self {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut secret_variables: Vec<String> = names
            .filter(|name| SECRET_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        secret_variables.sort_unstable();
        let passphrase_mode = match &config.passphrase {
            PassphraseSource::File(path) => mode(path),
            PassphraseSource::Prompt | PassphraseSource::Variable(_) => None,
        };
        Self {
            secret_variables,
            config_mode: mode(&config.file),
            passphrase_mode,
            vault_mode: vault_mode(config),
            state_mode: mode(&config.state_dir),
            pin_modes: pin_files(config).filter_map(mode).collect(),
            library_modes: libraries(config)
                // A link's own directory too: whoever writes there names another library.
                .flat_map(|library| [Some(library.to_owned()), std::fs::canonicalize(library).ok()])
                .flatten()
                .flat_map(|library| [library.parent().map(Path::to_owned), Some(library)])
                .flatten()
                .filter_map(|path| mode(&path))
                .collect(),
            inside: inside(config),
            tokens: None,
            remotes: None,
            core_dumps: core_dumps(),
            config,
        }
    }
}

/// Of the vault and the keystores, the first that is open to others; else the vault.
fn vault_mode(config: &Config) -> Option<FileMode> {
    let keystores = config.backends.iter().filter_map(|backend| match &backend.kind {
        BackendKind::Keystore { dir, .. } => Some(dir.as_path()),
        BackendKind::SealedFile { .. }
        | BackendKind::Pkcs11(_)
        | BackendKind::Remote(_)
        | BackendKind::Env { .. }
        | BackendKind::MockHsm { .. } => None,
    });
    let mut found: Vec<FileMode> = config.vault_dir().into_iter().chain(keystores).filter_map(mode).collect();
    let open = found.iter().position(|file| file.mode & 0o077 != 0).unwrap_or(0);
    (!found.is_empty()).then(|| found.swap_remove(open))
}

/// Files that hold a token's PIN or a keystore's passphrase.
pub(crate) fn pin_files(config: &Config) -> impl Iterator<Item = &Path> {
    let keystores = config.backends.iter().filter_map(|backend| match &backend.kind {
        BackendKind::Keystore {
            passphrase: PassphraseSource::File(path),
            ..
        } => Some(path.as_path()),
        BackendKind::SealedFile { .. }
        | BackendKind::Keystore { .. }
        | BackendKind::Pkcs11(_)
        | BackendKind::Remote(_)
        | BackendKind::Env { .. }
        | BackendKind::MockHsm { .. } => None,
    });
    let pins = tokens(config).filter_map(|token| match &token.pin {
        Some(PassphraseSource::File(path)) => Some(path.as_path()),
        Some(PassphraseSource::Prompt | PassphraseSource::Variable(_)) | None => None,
    });
    keystores.chain(pins)
}

/// The tokens of all `pkcs11` backends.
fn tokens(config: &Config) -> impl Iterator<Item = &Token> {
    let of_backends = config.backends.iter().filter_map(|backend| match &backend.kind {
        BackendKind::Pkcs11(pkcs11) => Some(&pkcs11.tokens),
        BackendKind::SealedFile { .. }
        | BackendKind::Keystore { .. }
        | BackendKind::Remote(_)
        | BackendKind::Env { .. }
        | BackendKind::MockHsm { .. } => None,
    });
    of_backends.flatten()
}

/// The libraries of all tokens.
pub(crate) fn libraries(config: &Config) -> impl Iterator<Item = &Path> {
    tokens(config).map(|token| token.library.as_path())
}

/// Files with a passphrase or a PIN that lie in the deployment, whichever way either is named.
pub(super) fn inside(config: &Config) -> Vec<PathBuf> {
    let real = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let passphrase = match &config.passphrase {
        PassphraseSource::File(path) => Some(path.as_path()),
        PassphraseSource::Prompt | PassphraseSource::Variable(_) => None,
    };
    let lies_inside = |file: &&Path| match (real(file), real(&config.dir)) {
        (Ok(file), Ok(dir)) => file.starts_with(dir),
        // Who cannot say does not say that it is elsewhere.
        (Err(_), _) | (_, Err(_)) => true,
    };
    passphrase
        .into_iter()
        .chain(pin_files(config))
        .filter(lies_inside)
        .map(Path::to_owned)
        .collect()
}

/// None if there is no such file: whoever needs it says so.
fn mode(path: &Path) -> Option<FileMode> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    Some(FileMode {
        path: path.to_owned(),
        mode,
    })
}

fn core_dumps() -> Option<String> {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
    let dumpable = !matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    let limit = getrlimit(Resource::Core).current;
    match (dumpable, limit) {
        (false, _) | (true, Some(0)) => None,
        (true, Some(bytes)) => Some(format!("the process is dumpable, its core limit is {bytes} bytes")),
        (true, None) => Some("the process is dumpable, its core limit is infinite".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ANY: &str = r#"
version = 1
network = "devnet"
[[backend]]
name = "vault"
kind = "sealed-file"
[[policy]]
name = "rate-limit"
module = "policies/rate-limit.wasm"
"#;

    /// However the deployment and the file are named.
    #[test]
    fn a_passphrase_inside_is_found_through_links_and_relative_names() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("dep");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("passphrase"), "x").unwrap();
        std::fs::write(home.path().join("outside"), "x").unwrap();
        std::os::unix::fs::symlink(&dir, home.path().join("link")).unwrap();
        let found = |dir: &Path, file: &Path| {
            let mut config = Config::parse(dir, ANY).unwrap();
            config.passphrase = PassphraseSource::File(file.to_owned());
            inside(&config).len()
        };
        for (deployment, file, wanted) in [
            ("dep", "dep/passphrase", 1),
            ("link", "dep/passphrase", 1),
            ("dep", "link/passphrase", 1),
            ("dep", "dep/../dep/passphrase", 1),
            ("dep", "outside", 0),
            ("link", "dep/../outside", 0),
        ] {
            assert_eq!(
                found(&home.path().join(deployment), &home.path().join(file)),
                wanted,
                "{file} of {deployment}"
            );
        }
        // A relative deployment and an absolute file.
        let here = std::env::current_dir().unwrap();
        assert_eq!(found(Path::new("."), &here.join("Cargo.toml")), 1);
    }
}
