//! `sigwarden init`: a deployment that runs as it is. It is made beside its place and moved there whole, so that an `init` that fails
//! leaves nothing that looks like a deployment.

use super::args::{Init, InitHsm, InitPassphrase};
use super::output::{Failure, Output};
use super::template::{self, Hsm};
use crate::admin::{edit, pins};
use crate::config::{Config, FILE_NAME, PassphraseSource};
use crate::deployment::{bare_settings, default_marker_dir, judge_passphrase, now_ms, operator, read_passphrase, settle};
use crate::embedded::POLICIES;
use crate::fatal::Fatal;
use serde_json::json;
use sigwarden_core::caller::OVERFLOW_UID;
use sigwarden_core::key::KeyId;
use sigwarden_core::{Network, Role, Scheme};
use sigwarden_keys::{Passphrase, Vault};
use sigwarden_ledger::{AdminKind, Administration, DeploymentLock, EmbeddedLedger};
use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The name of a generated passphrase file, inside the deployment.
const PASSPHRASE_FILE: &str = "passphrase";

/// The keys that a new deployment has. With an HSM it has none: they are generated in it.
fn first_keys(network: Network, hsm: bool) -> Vec<(&'static str, Role, Scheme)> {
    let (account, validator) = match network {
        Network::Devnet => ("demo.account", "demo.validator"),
        Network::TestnetAlpha | Network::TestnetBeta | Network::Mainnet => ("signer.account", "signer.validator"),
    };
    match hsm {
        true => Vec::new(),
        false => vec![
            (account, Role::Account, Scheme::Secp256k1Ecdsa),
            (validator, Role::Consensus, Scheme::Ed25519),
        ],
    }
}

pub(super) fn run(args: Init, dir: &Path, output: &Output) -> Result<(), Failure> {
    let dir = args.dir.as_deref().unwrap_or(dir);
    refuse_occupied(dir)?;
    if rustix::process::getuid().as_raw() == OVERFLOW_UID {
        return Err(Failure::cannot(format!(
            "uid {OVERFLOW_UID} stands for users that the kernel cannot map, so it is no client's; run `init` as the user that the daemon will have"
        )));
    }
    if args.passphrase.generate_passphrase_file && args.network != Network::Devnet {
        return Err(Failure::no(
            "--generate-passphrase-file is for devnet: elsewhere a passphrase does not lie beside what it opens",
        ));
    }
    let (passphrase, source) = passphrase(&args.passphrase, dir)?;
    judge_passphrase(&passphrase, args.network).map_err(|weak| Failure::no(format!("the passphrase: {weak}")))?;
    let hsm = hsm(&args.hsm)?;
    let marker_dir = match args.marker_dir {
        Some(dir) => std::path::absolute(dir)?,
        None => default_marker_dir()
            .ok_or_else(|| Failure::cannot("this user has no home for the deployment's marker; --marker-dir names a place"))?,
    };
    if marker_dir.starts_with(std::path::absolute(dir)?) {
        return Err(Failure::no(
            "--marker-dir lies in the new deployment: it would be copied along with it, and tell nothing",
        ));
    }
    let fresh = fresh_beside(dir)?;
    let made = make(&fresh, args.network, passphrase, &source, &marker_dir, hsm.as_ref()).and_then(|made| {
        std::fs::rename(&fresh, dir).map_err(|error| Failure::cannot(format!("{}: {error}", dir.display())))?;
        Ok(made)
    });
    let Made { ids, ledger } = match made {
        Ok(made) => made,
        Err(failure) => {
            // It never had its name: nobody uses it, nothing in it was shown.
            drop(std::fs::remove_dir_all(&fresh));
            return Err(failure);
        }
    };
    sync_parent(&fresh)?;
    // Under its name now. Without a marker it does not start, which `ledger adopt` mends.
    settle(&marker_dir, &dir.join("state"), &ledger)?;
    report(dir, args.network, &ids, output);
    Ok(())
}

/// The HSM of the arguments.
fn hsm(args: &InitHsm) -> Result<Option<Hsm>, Failure> {
    let (Some(library), Some(token)) = (&args.hsm_library, &args.hsm_token) else {
        return Ok(None);
    };
    let pin = match (&args.hsm_pin_file, &args.hsm_pin_env) {
        (Some(file), _) => {
            let file = std::path::absolute(file)?;
            format!("pin_file = {}", toml::Value::from(file.to_string_lossy().into_owned()))
        }
        (None, Some(name)) => format!("pin_env = {}", toml::Value::from(name.as_str())),
        (None, None) => "pin_prompt = true".to_owned(),
    };
    Ok(Some(Hsm {
        library: std::path::absolute(library)?,
        token: token.clone(),
        pin,
    }))
}

/// Makes the new name durable: keys that were shown must not be gone after a power cut.
fn sync_parent(fresh: &Path) -> Result<(), Failure> {
    let Some(parent) = fresh.parent() else { return Ok(()) };
    let synced = std::fs::File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(|error| {
        Failure::cannot(format!(
            "{}: {error}; the deployment is made, but a power cut may still take its name",
            parent.display()
        ))
    })
}

fn refuse_occupied(dir: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::no(format!(
                "{} is not empty; a deployment is made in a directory of its own",
                dir.display()
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::cannot(format!("{}: {error}", dir.display()))),
    }
}

/// The passphrase, and the line that tells `serve` where it comes from.
enum Source {
    Asked,
    File(PathBuf),
    Variable(String),
    /// Written into the new deployment.
    Generated(Zeroizing<String>),
}

fn passphrase(args: &InitPassphrase, dir: &Path) -> Result<(Passphrase, Source), Failure> {
    if args.generate_passphrase_file {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|error| Failure::cannot(format!("no random bytes: {error}")))?;
        let text = Zeroizing::new(hex::encode(bytes.as_ref()));
        let passphrase = Passphrase::from_bytes(text.as_bytes().to_vec())?;
        return Ok((passphrase, Source::Generated(text)));
    }
    if let Some(file) = &args.passphrase_file {
        let file = std::path::absolute(file)?;
        if file.starts_with(std::path::absolute(dir)?) {
            return Err(Failure::no(
                "--passphrase-file lies in the new deployment, which must be empty; --generate-passphrase-file makes one there",
            ));
        }
        return Ok((read_passphrase(&PassphraseSource::File(file.clone()))?, Source::File(file)));
    }
    if let Some(name) = &args.passphrase_env {
        return Ok((
            read_passphrase(&PassphraseSource::Variable(name.clone()))?,
            Source::Variable(name.clone()),
        ));
    }
    let asked = Passphrase::prompt_twice("A passphrase for the new deployment: ");
    let asked = asked.map_err(|error| Failure::cannot(format!("{error}; without a terminal, --passphrase-file or --passphrase-env")))?;
    Ok((asked, Source::Asked))
}

/// A directory beside `dir`, on its file system.
fn fresh_beside(dir: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(dir)?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Failure::cannot(format!("{} is no place for a deployment", dir.display())));
    };
    std::fs::create_dir_all(parent)?;
    let fresh = parent.join(format!(".{}.init-{}", name.to_string_lossy(), std::process::id()));
    make_dir(&fresh)?;
    Ok(fresh)
}

fn make_dir(dir: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(dir);
    made.map_err(|error| Failure::cannot(format!("{}: {error}", dir.display())))
}

/// A deployment under its temporary name.
struct Made {
    ids: Vec<(KeyId, String)>,
    /// Closed.
    ledger: EmbeddedLedger,
}

fn make(
    dir: &Path,
    network: Network,
    passphrase: Passphrase,
    source: &Source,
    marker_dir: &Path,
    hsm: Option<&Hsm>,
) -> Result<Made, Failure> {
    for part in ["policies", "state"] {
        make_dir(&dir.join(part))?;
    }
    for (name, wasm) in POLICIES {
        edit::replace(&dir.join("policies").join(format!("{name}.wasm")), wasm, 0o644).map_err(Failure::of)?;
    }
    if let Source::Generated(text) = source {
        edit::replace(&dir.join(PASSPHRASE_FILE), text.as_bytes(), 0o600).map_err(Failure::of)?;
    }
    let now_ms = now_ms();
    let state = dir.join("state");
    let _lock = DeploymentLock::acquire(&state)?;
    let vault = Vault::create(&dir.join("keys"), &passphrase)?;
    let mut ids = Vec::new();
    let mut blocks = Vec::new();
    for (name, role, scheme) in first_keys(network, hsm.is_some()) {
        let id = KeyId {
            name: name.parse()?,
            version: 1,
        };
        let public_key = vault.generate(&id, scheme, now_ms)?;
        blocks.push(edit::key(&id, &BTreeSet::from([role]), scheme, "vault", Some(&public_key)));
        ids.push((id, hex::encode(public_key)));
    }
    let ledger = EmbeddedLedger::create(&state, bare_settings(now_ms, &Arc::new(Fatal::default())))?;
    if !ids.is_empty() {
        ledger.administer(Administration {
            kind: AdminKind::PublicKey,
            operator: operator(),
            reason: "init".to_owned(),
            now_ms,
            effects: pins(&vault, &ids.iter().map(|(id, _)| id).collect::<Vec<_>>()),
        })?;
    }
    ledger.close()?;

    let text = template::config(&template::Filled {
        network,
        hsm,
        marker_dir,
        passphrase: match source {
            Source::Asked => "# passphrase_file = \"/etc/sigwarden/passphrase\"".to_owned(),
            Source::File(file) => format!("passphrase_file = {}", toml::Value::from(file.to_string_lossy().into_owned())),
            Source::Variable(name) => format!("passphrase_env = \"{name}\""),
            Source::Generated(_) => format!("passphrase_file = \"{PASSPHRASE_FILE}\""),
        },
        uid: rustix::process::getuid().as_raw(),
        keys: &blocks,
    });
    // A template that is wrong is our fault, and found here rather than at the first start.
    if let Err(errors) = Config::parse(dir, &text) {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        return Err(Failure::cannot(format!(
            "init wrote a wrong sigwarden.toml; please report it:\n{}",
            errors.join("\n")
        )));
    }
    edit::replace(&dir.join(FILE_NAME), text.as_bytes(), 0o644).map_err(Failure::of)?;
    Ok(Made { ids, ledger })
}

fn report(dir: &Path, network: Network, ids: &[(KeyId, String)], output: &Output) {
    let keys: Vec<_> = ids
        .iter()
        .map(|(id, public_key)| json!({ "key": id.to_string(), "public_key": public_key }))
        .collect();
    let value = json!({ "deployment": dir, "network": network.name(), "keys": keys });
    output.print(&value, || {
        let mut text = format!("made a {network} deployment in {}\n\n", dir.display());
        for (id, public_key) in ids {
            text.push_str(&format!("  {id}  {public_key}\n"));
        }
        let d = dir.display();
        let consensus = ids.iter().find(|(id, _)| id.name.as_str().ends_with("validator"));
        let floor = match consensus {
            Some((id, _)) => format!("  sigwarden -d {d} floors set --key {} --chain-id ID --height 0 --reason 'a new key'\n", id.name),
            None => format!(
                "  sigwarden -d {d} keys generate signer.validator --backend hsm --scheme ed25519 --role consensus --add-to-config\n  sigwarden -d {d} floors set --key signer.validator --chain-id ID --height 0 --reason 'a new key'\n"
            ),
        };
        text.push_str(&format!("\nnext:\n  sigwarden -d {d} check\n{floor}  sigwarden -d {d} serve\n"));
        text
    });
}
