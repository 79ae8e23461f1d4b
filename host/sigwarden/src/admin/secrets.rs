//! The deployment's secrets: whatever an operator keeps under a name beside the keys. Every access is recorded, listings included.

use super::{Administrator, NotDone, wanted};
use crate::deployment::now_ms;
use crate::proto::admin as wire;
use sigwarden_core::key::KeyName;
use sigwarden_keys::VaultError;
use sigwarden_ledger::AdminKind;
use zeroize::Zeroizing;

/// A secret that is not there was looked for: the answer is no.
fn unknown(error: VaultError) -> NotDone {
    match matches!(error, VaultError::UnknownSecret(_)) {
        true => NotDone::no(error.to_string()),
        false => error.into(),
    }
}

impl Administrator {
    /// Sets, gives, lists or removes secrets. What was asked is durable in the record before anything is given or changed.
    ///
    /// # Errors
    /// There is no such secret or command; the vault cannot.
    pub fn secret(&self, mut request: wire::SecretRequest) -> Result<wire::SecretResponse, NotDone> {
        let _turn = self.turn();
        wanted(&request.reason)?;
        let secret = Zeroizing::new(std::mem::take(&mut request.secret));
        let vault = self.vault()?;
        let record = |what: &str| self.record(AdminKind::SecretAccess, &format!("{what}: {}", request.reason), Vec::new());
        if request.command == "list" {
            let sequence = record("list")?;
            let secrets = vault.secret_list()?;
            return Ok(wire::SecretResponse {
                secret: None,
                secrets: secrets
                    .into_iter()
                    .map(|entry| wire::SecretInfo {
                        name: entry.name.to_string(),
                        created_ms: entry.created_ms,
                    })
                    .collect(),
                sequence,
            });
        }
        let name: KeyName = request.name.parse()?;
        let sequence = record(&format!("{} {name}", request.command))?;
        let mut given = None;
        match request.command.as_str() {
            "set" => vault.secret_set(&name, &secret, now_ms())?,
            "get" => given = Some(vault.secret_get(&name).map_err(unknown)?.expose_secret().to_vec()),
            "remove" => vault.secret_remove(&name).map_err(unknown)?,
            other => {
                return Err(NotDone::cannot(format!(
                    "`{}` is none of `set`, `get`, `list` and `remove`",
                    other.escape_debug()
                )));
            }
        }
        Ok(wire::SecretResponse {
            secret: given,
            secrets: Vec::new(),
            sequence,
        })
    }
}
