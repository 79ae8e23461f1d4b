//! Everything that changes: tokens, sessions and the faults in force. One lock holds it; signing happens outside.

use crate::attributes::Answer;
use crate::config::{Config, ConfigError};
use crate::faults::Watched;
use crate::keys::Pair;
use crate::token::{Handles, Token};
use cryptoki_sys::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The state of the module between `C_Initialize` and `C_Finalize`.
pub(crate) struct State {
    config: Config,
    watched: Watched,
    /// What was last said of a faults file that is wrong: once, not at every call.
    complaint: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) sessions: BTreeMap<CK_SESSION_HANDLE, Session>,
    pub(crate) handles: Handles,
}

/// A session.
pub(crate) struct Session {
    /// Its token's place in [`State::tokens`].
    pub(crate) place: usize,
    pub(crate) read_write: bool,
    /// What a search has yet to give.
    pub(crate) search: Option<VecDeque<CK_OBJECT_HANDLE>>,
    pub(crate) signing: Option<Signing>,
}

/// A signature that was begun.
#[derive(Clone)]
pub(crate) struct Signing {
    pub(crate) pair: Arc<Pair>,
    pub(crate) label: String,
}

impl State {
    /// Opens every token of the configuration.
    pub(crate) fn open(config: Config) -> Result<Self, ConfigError> {
        let mut handles = Handles::default();
        let tokens = config
            .slots()
            .into_iter()
            .zip(&config.token)
            .map(|(slot, token)| Token::open(token, slot, &config, &mut handles))
            .collect::<Result<Vec<_>, _>>()?;
        let mut state = Self {
            watched: Watched::new(&config),
            config,
            complaint: String::new(),
            tokens,
            sessions: BTreeMap::new(),
            handles,
        };
        state.look()?;
        Ok(state)
    }

    /// Looks at the faults file, and applies what has changed.
    fn look(&mut self) -> Result<(), ConfigError> {
        let Some(mut faults) = self.watched.look(&self.config)? else {
            return Ok(());
        };
        self.complaint.clear();
        for place in 0..self.tokens.len() {
            let Some(token) = self.tokens.get_mut(place) else { break };
            let new = faults.token.remove(&token.settings.label).unwrap_or_default();
            if token.take_faults(new) {
                self.drop_sessions(place);
            }
        }
        Ok(())
    }

    /// [`Self::look`] of a call. While the file is wrong, every call fails.
    pub(crate) fn look_or_fail(&mut self) -> Answer<()> {
        self.look().map_err(|error| {
            let complaint = error.to_string();
            if self.complaint != complaint {
                crate::token::complain(&error);
                self.complaint = complaint;
            }
            CKR_GENERAL_ERROR
        })
    }

    /// The token of a session, if the call may go on: the session is known, the token there, alive, and does not close the session now.
    pub(crate) fn admit(&mut self, handle: CK_SESSION_HANDLE) -> Answer<usize> {
        let place = self.sessions.get(&handle).ok_or(CKR_SESSION_HANDLE_INVALID)?.place;
        let token = self.token(place)?;
        if token.faults.device_removed {
            return Err(CKR_DEVICE_REMOVED);
        }
        if token.is_dead() {
            return Err(CKR_DEVICE_ERROR);
        }
        if token.closes > 0 {
            token.closes -= 1;
            self.close(handle);
            return Err(CKR_SESSION_CLOSED);
        }
        Ok(place)
    }

    /// The place of the token in a slot, there or not.
    pub(crate) fn place_of(&self, slot: CK_SLOT_ID) -> Answer<usize> {
        self.tokens.iter().position(|token| token.slot() == slot).ok_or(CKR_SLOT_ID_INVALID)
    }

    /// A token by its place.
    pub(crate) fn token(&mut self, place: usize) -> Answer<&mut Token> {
        self.tokens.get_mut(place).ok_or(CKR_GENERAL_ERROR)
    }

    /// A session.
    pub(crate) fn session(&mut self, handle: CK_SESSION_HANDLE) -> Answer<&mut Session> {
        self.sessions.get_mut(&handle).ok_or(CKR_SESSION_HANDLE_INVALID)
    }

    /// Token, handles and session at once.
    pub(crate) fn parts(&mut self, handle: CK_SESSION_HANDLE) -> Answer<(&mut Token, &mut Handles, &mut Session)> {
        let session = self.sessions.get_mut(&handle).ok_or(CKR_SESSION_HANDLE_INVALID)?;
        let token = self.tokens.get_mut(session.place).ok_or(CKR_GENERAL_ERROR)?;
        Ok((token, &mut self.handles, session))
    }

    /// How many sessions a token has, and how many of them can write.
    pub(crate) fn count_sessions(&self, place: usize) -> (CK_ULONG, CK_ULONG) {
        let own = self.sessions.values().filter(|session| session.place == place);
        own.fold((0, 0), |(all, writing), session| {
            (all + 1, writing + CK_ULONG::from(session.read_write))
        })
    }

    /// Closes a session. The last one of a token takes the login with it.
    pub(crate) fn close(&mut self, handle: CK_SESSION_HANDLE) {
        let Some(session) = self.sessions.remove(&handle) else {
            return;
        };
        let last = self.count_sessions(session.place).0 == 0;
        if let Some(token) = self.tokens.get_mut(session.place) {
            token.end_session(handle);
            if last && token.logged_in {
                token.logout(&mut self.handles);
            }
        }
    }

    /// Closes every session of a token, and with them its login. Handles are stale.
    pub(crate) fn drop_sessions(&mut self, place: usize) {
        let own: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.place == place)
            .map(|(handle, _)| *handle)
            .collect();
        for handle in own {
            self.close(handle);
        }
        if let Some(token) = self.tokens.get_mut(place) {
            token.logout(&mut self.handles);
        }
    }
}
