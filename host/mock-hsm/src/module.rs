//! The functions of PKCS#11 about slots, tokens and sessions, over safe types. What each answers is the standard's (v2.40 §5), and where
//! the standard leaves it open, what tokens were seen to do. [`crate::operations`] has those about keys.

use crate::attributes::Answer;
use crate::config::{Config, ConfigError, PIN_MAX};
use crate::faults::LATENCY_MAX_MS;
use crate::mechanism;
use crate::state::{Session, State};
use cryptoki_sys::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a call that waits looks whether it still has to.
const WAIT_STEP: Duration = Duration::from_millis(2);
/// Version of the module, and of what it calls hardware.
const VERSION: CK_VERSION = CK_VERSION { major: 0, minor: 1 };

/// The initialised module.
pub(crate) struct Module {
    state: Mutex<State>,
}

impl Module {
    /// Reads the configuration that the environment names.
    pub(crate) fn open() -> Result<Self, ConfigError> {
        let state = State::open(Config::from_env()?)?;
        Ok(Self { state: Mutex::new(state) })
    }

    /// `C_GetInfo`.
    pub(crate) fn info() -> CK_INFO {
        CK_INFO {
            cryptokiVersion: CK_VERSION { major: 2, minor: 40 },
            manufacturerID: padded(crate::MANUFACTURER),
            flags: 0,
            libraryDescription: padded(crate::DESCRIPTION),
            libraryVersion: VERSION,
        }
    }

    /// `C_GetSlotList`.
    pub(crate) fn slots(&self, with_token: bool) -> Answer<Vec<CK_SLOT_ID>> {
        let state = self.ready(|_| 0)?;
        let listed = state.tokens.iter().filter(|token| !(with_token && token.faults.device_removed));
        Ok(listed.map(crate::token::Token::slot).collect())
    }

    /// `C_GetSlotInfo`.
    pub(crate) fn slot_info(&self, slot: CK_SLOT_ID) -> Answer<CK_SLOT_INFO> {
        let mut state = self.ready(|_| 0)?;
        let place = state.place_of(slot)?;
        let present = if state.token(place)?.faults.device_removed {
            0
        } else {
            CKF_TOKEN_PRESENT
        };
        Ok(CK_SLOT_INFO {
            slotDescription: padded("Sigwarden mock HSM slot"),
            manufacturerID: padded(crate::MANUFACTURER),
            flags: CKF_REMOVABLE_DEVICE | present,
            hardwareVersion: VERSION,
            firmwareVersion: VERSION,
        })
    }

    /// `C_GetTokenInfo`.
    pub(crate) fn token_info(&self, slot: CK_SLOT_ID) -> Answer<CK_TOKEN_INFO> {
        let (mut state, place) = self.ready_slot(slot)?;
        let (sessions, writing) = state.count_sessions(place);
        let State { tokens, handles, .. } = &mut *state;
        let token = tokens.get_mut(place).ok_or(CKR_GENERAL_ERROR)?;
        token.refresh(handles)?;
        Ok(CK_TOKEN_INFO {
            label: padded(&token.settings.label),
            manufacturerID: padded(crate::MANUFACTURER),
            model: padded("mock"),
            serialNumber: padded(&blake3::hash(token.settings.label.as_bytes()).to_hex()),
            flags: CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED | token.pin_flags(),
            ulMaxSessionCount: token.max_sessions().into(),
            ulSessionCount: sessions,
            ulMaxRwSessionCount: token.max_sessions().into(),
            ulRwSessionCount: writing,
            ulMaxPinLen: PIN_MAX as CK_ULONG,
            ulMinPinLen: 1,
            ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
            ulFreePublicMemory: CK_UNAVAILABLE_INFORMATION,
            ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
            ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
            hardwareVersion: VERSION,
            firmwareVersion: VERSION,
            utcTime: padded(""),
        })
    }

    /// `C_GetMechanismList`.
    pub(crate) fn mechanisms(&self, slot: CK_SLOT_ID) -> Answer<Vec<CK_MECHANISM_TYPE>> {
        drop(self.ready_slot(slot)?);
        Ok(mechanism::MECHANISMS.to_vec())
    }

    /// `C_GetMechanismInfo`.
    pub(crate) fn mechanism_info(&self, slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE) -> Answer<CK_MECHANISM_INFO> {
        drop(self.ready_slot(slot)?);
        mechanism::info(mechanism).ok_or(CKR_MECHANISM_INVALID)
    }

    /// `C_OpenSession`.
    pub(crate) fn open_session(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Answer<CK_SESSION_HANDLE> {
        if flags & CKF_SERIAL_SESSION == 0 {
            return Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED);
        }
        let (mut state, place) = self.ready_slot(slot)?;
        let open = state.count_sessions(place).0;
        let token = state.token(place)?;
        if token.faults.busy || open >= CK_ULONG::from(token.max_sessions()) {
            return Err(CKR_SESSION_COUNT);
        }
        let handle = state.handles.next();
        let session = Session {
            place,
            read_write: flags & CKF_RW_SESSION != 0,
            search: None,
            signing: None,
        };
        state.sessions.insert(handle, session);
        Ok(handle)
    }

    /// `C_CloseSession`. It is never late, busy or scripted away: a client that cleans up gets done.
    pub(crate) fn close_session(&self, handle: CK_SESSION_HANDLE) -> Answer<()> {
        let mut state = self.ready(|_| 0)?;
        let place = state.session(handle)?.place;
        state.close(handle);
        if state.token(place)?.faults.device_removed {
            Err(CKR_DEVICE_REMOVED)
        } else {
            Ok(())
        }
    }

    /// `C_CloseAllSessions`.
    pub(crate) fn close_all_sessions(&self, slot: CK_SLOT_ID) -> Answer<()> {
        let mut state = self.ready(|_| 0)?;
        let place = state.place_of(slot)?;
        state.drop_sessions(place);
        Ok(())
    }

    /// `C_GetSessionInfo`.
    pub(crate) fn session_info(&self, handle: CK_SESSION_HANDLE) -> Answer<CK_SESSION_INFO> {
        let mut state = self.ready_session(handle)?;
        let (token, _, session) = state.parts(handle)?;
        let (slot, logged_in) = (token.slot(), token.logged_in);
        Ok(CK_SESSION_INFO {
            slotID: slot,
            state: match (session.read_write, logged_in) {
                (false, false) => CKS_RO_PUBLIC_SESSION,
                (false, true) => CKS_RO_USER_FUNCTIONS,
                (true, false) => CKS_RW_PUBLIC_SESSION,
                (true, true) => CKS_RW_USER_FUNCTIONS,
            },
            flags: CKF_SERIAL_SESSION | if session.read_write { CKF_RW_SESSION } else { 0 },
            ulDeviceError: 0,
        })
    }

    /// `C_Login`. There is no security officer.
    pub(crate) fn login(&self, handle: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: &[u8]) -> Answer<()> {
        let mut state = self.ready_session(handle)?;
        let (token, handles, _) = state.parts(handle)?;
        if user != CKU_USER {
            return Err(CKR_USER_TYPE_INVALID);
        }
        token.not_busy()?;
        token.refresh(handles)?;
        token.login(pin)
    }

    /// `C_Logout`: of every session of the token; handles are stale, what was begun ends.
    pub(crate) fn logout(&self, handle: CK_SESSION_HANDLE) -> Answer<()> {
        let mut state = self.ready_session(handle)?;
        let (token, handles, session) = state.parts(handle)?;
        if !token.logged_in {
            return Err(CKR_USER_NOT_LOGGED_IN);
        }
        token.logout(handles);
        let place = session.place;
        for session in state.sessions.values_mut().filter(|session| session.place == place) {
            session.search = None;
            session.signing = None;
        }
        Ok(())
    }

    /// Waits as long as the faults file says a call is late, looked at again while waiting, then gives the state.
    pub(crate) fn ready(&self, latency_ms: impl Fn(&State) -> u64) -> Answer<MutexGuard<'_, State>> {
        let since = Instant::now();
        loop {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.look_or_fail()?;
            let latency = Duration::from_millis(latency_ms(&state).min(LATENCY_MAX_MS));
            let left = latency.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Ok(state);
            }
            drop(state);
            std::thread::sleep(left.min(WAIT_STEP));
        }
    }

    /// [`Self::ready`] for a call of a session, which may go on.
    pub(crate) fn ready_session(&self, handle: CK_SESSION_HANDLE) -> Answer<MutexGuard<'_, State>> {
        let mut state = self.ready(|state| {
            let place = state.sessions.get(&handle).map(|session| session.place);
            place
                .and_then(|place| state.tokens.get(place))
                .map_or(0, |token| token.faults.latency_ms)
        })?;
        state.admit(handle)?;
        Ok(state)
    }

    /// [`Self::ready`] for a call that needs the token in a slot.
    fn ready_slot(&self, slot: CK_SLOT_ID) -> Answer<(MutexGuard<'_, State>, usize)> {
        let latency = |state: &State| {
            let place = state.place_of(slot).ok();
            place
                .and_then(|place| state.tokens.get(place))
                .map_or(0, |token| token.faults.latency_ms)
        };
        let mut state = self.ready(latency)?;
        let place = state.place_of(slot)?;
        let token = state.token(place)?;
        if token.faults.device_removed {
            return Err(CKR_TOKEN_NOT_PRESENT);
        }
        if token.is_dead() {
            return Err(CKR_DEVICE_ERROR);
        }
        Ok((state, place))
    }
}

/// A fixed field of PKCS#11: padded with blanks, cut at its end.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}
