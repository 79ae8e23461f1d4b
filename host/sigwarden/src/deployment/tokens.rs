//! `pkcs11` backends of a configuration, opened: where their PINs come from.

use super::backends::BackendError;
use super::read_passphrase;
use crate::config::{Config, Key, PassphraseSource, Pkcs11, Token};
use sigwarden_keys::{Passphrase, Pin};
use sigwarden_pkcs11::{KeySettings, PinSource, Pkcs11Backend, RefusedPin, Settings, TokenSettings};

/// Opens one. Tokens that are not there or refuse their PIN are no error: [`Pkcs11Backend::tokens`] tells.
pub(crate) fn open(settings: Settings) -> Result<Pkcs11Backend, BackendError> {
    Pkcs11Backend::open(settings).map_err(|error| BackendError::Pkcs11(error.to_string()))
}

/// What one is opened with. PINs are read, or asked for, here.
pub(crate) fn settings(config: &Config, name: &str, pkcs11: &Pkcs11) -> Result<Settings, BackendError> {
    let tokens = pkcs11
        .tokens
        .iter()
        .map(|token| {
            Ok(TokenSettings {
                library: token.library.clone(),
                label: token.label.clone(),
                slot_id: token.slot_id,
                pin: token.pin.as_ref().map(|source| pin(name, token, source)).transpose()?,
                refused_pin: Some(refused_pin(config, name, token)),
            })
        })
        .collect::<Result<Vec<_>, BackendError>>()?;
    let mut settings = Settings::new(name, tokens);
    settings.sessions = pkcs11.sessions.unwrap_or(settings.sessions);
    settings.session_wait = pkcs11.session_timeout.unwrap_or(settings.session_wait);
    settings.call_deadline = pkcs11.call_deadline.or(settings.call_deadline);
    for key in config.keys.iter().filter(|key| key.backend == name) {
        settings.keys.insert(key.id.clone(), special(key));
    }
    Ok(settings)
}

/// What is special about a key.
pub(crate) fn special(key: &Key) -> KeySettings {
    KeySettings {
        label: key.label.clone(),
        mechanism: key.mechanism,
    }
}

/// Where it is remembered that a token refused its PIN.
pub(crate) fn refused_pin(config: &Config, name: &str, token: &Token) -> RefusedPin {
    RefusedPin::in_dir(&config.state_dir.join("refused-pins"), name, &token.label)
}

/// Where a token's PIN comes from, each time that a login is due. A file is read anew; what was asked for, or taken out of the
/// environment, is kept shielded.
fn pin(backend: &str, token: &Token, source: &PassphraseSource) -> Result<PinSource, BackendError> {
    let failed = |what: String| BackendError::Pin {
        backend: backend.to_owned(),
        token: token.label.clone(),
        what,
    };
    let asked = match source {
        PassphraseSource::File(path) => {
            let path = path.clone();
            // Looked at now, so that a start without it says so.
            Passphrase::from_file(&path).map_err(|error| failed(error.to_string()))?;
            return Ok(Box::new(move || {
                let read = Passphrase::from_file(&path).map_err(|error| error.to_string())?;
                read.into_pin().map_err(|error| error.to_string())
            }));
        }
        PassphraseSource::Prompt => Passphrase::prompt(&format!("PIN of the token `{}`: ", token.label)),
        PassphraseSource::Variable(_) => read_passphrase(source),
    };
    let asked = asked.map_err(|error| failed(error.to_string()))?;
    let kept = Pin::keep(&asked).map_err(|error| failed(error.to_string()))?;
    Ok(Box::new(move || kept.open().map_err(|error| error.to_string())))
}
