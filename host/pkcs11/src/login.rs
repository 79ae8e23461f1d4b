//! When a PIN is used: once, and again only if it was right, the token was away since, and a wrong one would not lock it.

use crate::failure::{CallError, ErrorKind, Remedy};
use crate::refused_pin::RefusedPin;
use crate::settings::PinSource;
use crate::status::{PinAttempts, TokenState};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::TokenInfo;

/// Logins in a row at which the device may fail with a right PIN, before an operator has to look.
const DEVICE_FAILURES_MAX: u32 = 3;

/// What is known of a token's PIN.
#[derive(Default)]
pub(crate) struct Login {
    /// The serial number of the token that took it.
    proven: Option<String>,
    /// Why it is not used until an operator acts.
    refused: Option<TokenState>,
    device_failures: u32,
    /// An operator wants the next attempt.
    by_operator: bool,
    remembered: Option<RefusedPin>,
}

impl Login {
    /// What an earlier process left holds here too.
    pub(crate) fn remembering(remembered: Option<RefusedPin>) -> Self {
        let why = remembered.as_ref().and_then(RefusedPin::read);
        Self {
            refused: why.map(|why| TokenState::PinRefused {
                why,
                attempts: PinAttempts::NotTold,
            }),
            remembered,
            ..Self::default()
        }
    }

    /// Lets the PIN be used once more.
    pub(crate) fn allow(&mut self) {
        self.forget();
        (self.refused, self.by_operator, self.device_failures) = (None, true, 0);
    }

    fn forget(&self) {
        if let Some(Err(error)) = self.remembered.as_ref().map(RefusedPin::clear) {
            tracing::error!(%error, "that a PIN was used cannot be forgotten: the next start will not use it");
        }
    }

    /// Whether the login that was will succeed again, as far as is known: the PIN was right, and nobody has to type it.
    pub(crate) fn will_do_again(&self, info: &TokenInfo) -> bool {
        !info.login_required() || self.proven.is_some() && !info.protected_authentication_path()
    }

    /// Whether nothing happens until an operator acts.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Logs in, if that is due. `again` asks the token for its flags after a failure.
    pub(crate) fn log_in(
        &mut self,
        session: &Session,
        pin: Option<&PinSource>,
        info: &TokenInfo,
        again: impl FnOnce() -> Option<TokenInfo>,
    ) -> Result<(), TokenState> {
        if let Some(state) = &self.refused {
            return Err(state.clone());
        }
        let by_operator = std::mem::take(&mut self.by_operator);
        if !info.login_required() || is_logged_in(session) {
            return Ok(());
        }
        if !info.user_pin_initialized() {
            return not_used(
                "its user PIN was never set; its security officer sets one (C_InitPIN)",
                PinAttempts::NotTold,
            );
        }
        match attempts(info) {
            PinAttempts::Locked => return not_used("its user PIN is locked; ours was not used", PinAttempts::Locked),
            PinAttempts::One if !by_operator => {
                return not_used(
                    "the PIN was not used, since a wrong one would lock it; `sigwarden keys retry-login BACKEND --reason TEXT` uses it",
                    PinAttempts::One,
                );
            }
            PinAttempts::One | PinAttempts::Fewer | PinAttempts::NotTold => {}
        }
        let serial = info.serial_number().trim();
        if let Some(known) = self.proven.as_ref().filter(|known| *known != serial && !by_operator) {
            // Whoever puts a token of his own in its place is not told the PIN.
            let why = format!(
                "the PIN was not used, since this is another token of the same label: its serial number is `{}`, and was `{}`; `sigwarden keys retry-login BACKEND --reason TEXT` if that is right",
                serial.escape_debug(),
                known.escape_debug()
            );
            return not_used(&why, PinAttempts::NotTold);
        }
        let pin = match pin.map(|source| source()) {
            Some(Ok(pin)) => Some(pin),
            Some(Err(why)) => {
                let state = TokenState::Broken(format!("no PIN: {why}"));
                self.refused = Some(state.clone());
                return Err(state);
            }
            None if info.protected_authentication_path() => None,
            None => return not_used("it wants a PIN, and none is configured", PinAttempts::NotTold),
        };
        // Before: a process that ends while the token thinks must not try again at its next start. A wrong PIN may be answered late.
        if let Some(Err(why)) = self.remembered.as_ref().map(RefusedPin::begin) {
            // Tried again by itself, and an operator's attempt is still his.
            self.by_operator = by_operator;
            return Err(TokenState::Broken(why));
        }
        let outcome = session.login(UserType::User, pin.as_ref());
        // Wiped here; its source keeps it shielded.
        drop(pin);
        match outcome {
            Ok(()) => {
                self.forget();
                (self.proven, self.device_failures) = (Some(serial.to_owned()), 0);
                Ok(())
            }
            // Another backend of this process uses the token: the login is the token's, and our PIN was not looked at.
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.forget();
                Ok(())
            }
            Err(error) => Err(self.failed(&error, again)),
        }
    }

    fn failed(&mut self, error: &Error, again: impl FnOnce() -> Option<TokenInfo>) -> TokenState {
        let call = CallError::new("C_Login", error);
        let gone = call.remedy == Remedy::Reconnect || call.remedy == Remedy::NewSession;
        if gone {
            self.forget();
            return TokenState::Absent(call.to_string());
        }
        self.device_failures += 1;
        // A device that fails says nothing about a PIN that was right before, unless it counted the attempt.
        let info = again();
        let attempts = info.as_ref().map_or(PinAttempts::NotTold, attempts);
        // One that failed for another reason says nothing about the PIN: a restart may try.
        match &self.remembered {
            Some(remembered) if call.kind == ErrorKind::Pin || attempts != PinAttempts::NotTold => remembered.write(&call.to_string()),
            Some(_) | None => self.forget(),
        }
        if call.kind != ErrorKind::Pin
            && self.proven.is_some()
            && attempts == PinAttempts::NotTold
            && self.device_failures < DEVICE_FAILURES_MAX
        {
            return TokenState::Broken(call.to_string());
        }
        let why = format!("{call}; the PIN is not used again until an operator acts");
        let state = TokenState::PinRefused { why, attempts };
        self.refused = Some(state.clone());
        state
    }
}

/// No PIN was used, so it is looked at again by itself: flags change when a security officer acts.
fn not_used<T>(why: &str, attempts: PinAttempts) -> Result<T, TokenState> {
    Err(TokenState::PinRefused { why: why.into(), attempts })
}

/// Whether the session says so; a library without `C_GetSessionInfo` says nothing.
pub(crate) fn is_logged_in(session: &Session) -> bool {
    session.get_session_info().is_ok_and(|info| match info.session_state() {
        SessionState::RoUser | SessionState::RwUser => true,
        SessionState::RoPublic | SessionState::RwPublic | SessionState::RwSecurityOfficer => false,
    })
}

fn attempts(info: &TokenInfo) -> PinAttempts {
    if info.user_pin_locked() {
        PinAttempts::Locked
    } else if info.user_pin_final_try() {
        PinAttempts::One
    } else if info.user_pin_count_low() {
        PinAttempts::Fewer
    } else {
        PinAttempts::NotTold
    }
}
