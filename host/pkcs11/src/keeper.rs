//! Looks after one token, on a thread of its own: finds it by its label, logs in, notices when it goes and when it is back. Holds the
//! anchor, a session that is never used, since closing a token's last session logs out. Only this thread ever logs in, and nothing ever
//! logs out while others work.

use crate::failure::CallError;
use crate::library::{Connected, Library, Opened, described};
use crate::login::{Login, is_logged_in};
use crate::mechanism;
use crate::status::{TokenInfo, TokenState};
use crate::token::{Link, Token, Wake};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo as Told};
use std::num::NonZeroUsize;
use std::sync::{Arc, TryLockError};
use std::time::{Duration, Instant};

/// Slots looked at: the largest network HSMs have so many partitions.
const SLOTS_MAX: usize = 256;
/// Tokens named in a message.
const NAMED_MAX: usize = 16;

pub(crate) struct Keeper {
    token: Arc<Token>,
    login: Login,
    tie: Option<Tie>,
    generation: u64,
    /// Attempts to connect that failed since the last that did not.
    failed: u32,
    retry: Duration,
    /// Since when the token is looked for in vain, or its library was last interrupted for it.
    sought: Option<Instant>,
    /// How long from then until its library is started anew although other tokens are connected.
    interrupt: Duration,
    /// It was not there at the last look; started anew, its library may see it.
    absent: bool,
}

/// A connection, with the sessions that are not for work.
struct Tie {
    link: Link,
    info: TokenInfo,
    /// For looking.
    probe: Opened,
    anchor: Opened,
    // Dropped last: the sessions are closed before anybody restarts the library.
    _connected: Connected,
}

impl Keeper {
    pub(crate) fn new(token: Arc<Token>, by_operator: bool) -> Self {
        let mut login = Login::remembering(token.settings.refused_pin.clone());
        if by_operator {
            login.allow();
        }
        Self {
            retry: token.pace.retry_first,
            interrupt: token.pace.interrupt_first,
            login,
            token,
            tie: None,
            generation: 0,
            failed: 0,
            sought: None,
            absent: false,
        }
    }

    /// Until the backend is dropped.
    pub(crate) fn keep(mut self) {
        loop {
            let known_key = self.token.look_begins();
            let outcome = self.look(known_key.as_deref());
            let connected = outcome.is_ok();
            self.token.look_ended(outcome);
            let pause = self.pause(connected);
            match self.token.pause(pause, connected) {
                Wake::Look => {}
                Wake::Operator => self.login.allow(),
                Wake::Stop => break,
            }
        }
        if let Some(tie) = self.tie.take() {
            let library = Arc::clone(&tie.link.library);
            let _inside = library.enter();
            self.token.close_idle_sessions();
            drop(tie);
        }
        self.token.ended();
    }

    /// How long until the next look; None until an operator acts.
    fn pause(&mut self, connected: bool) -> Option<Duration> {
        let pace = self.token.pace;
        if connected {
            self.retry = pace.retry_first;
            return Some(pace.health);
        }
        if self.login.is_refused() {
            return None;
        }
        let pause = self.retry;
        self.retry = (self.retry * 2).min(pace.retry_most);
        Some(pause)
    }

    fn look(&mut self, known_key: Option<&str>) -> Result<(Link, TokenInfo), TokenState> {
        if let Some(tie) = &mut self.tie {
            let library = Arc::clone(&tie.link.library);
            let _inside = library.enter();
            let undisturbed = self.token.undisturbed.try_lock();
            let checked = if tie.anchor.is_stale() {
                Err("its library was started anew".into())
            } else if matches!(undisturbed, Err(TryLockError::WouldBlock)) {
                Ok(())
            } else {
                tie.check(&self.token, known_key)
            };
            match checked {
                Ok(()) => return Ok((tie.link.clone(), tie.info.clone())),
                Err(why) => tracing::warn!(token = %self.token.label(), "the token does not answer as it did: {why}"),
            }
            // Before the new connection: a token that came back may give old sessions' numbers to new ones.
            self.token.close_idle_sessions();
            self.tie = None;
        }
        self.failed += 1;
        let tie = self.connect();
        self.absent = matches!(tie, Err(TokenState::Absent(_)));
        let tie = self.tie.insert(tie?);
        self.generation += 1;
        self.failed = 0;
        (self.sought, self.interrupt) = (None, self.token.pace.interrupt_first);
        Ok((tie.link.clone(), tie.info.clone()))
    }

    /// Starts the library anew, so that it sees what came: at once if no token of it is connected; if one is, after a while, and each time
    /// after a longer one, so that a token that is away for good costs the others next to nothing.
    fn start_anew(&mut self, library: &Library) -> Result<(), Error> {
        library.restart()?;
        let now = Instant::now();
        let sought = *self.sought.get_or_insert(now);
        let since = sought.max(library.started());
        if self.absent && now.saturating_duration_since(since) >= self.interrupt {
            self.sought = Some(now);
            self.interrupt = (self.interrupt * 2).min(self.token.pace.interrupt_most);
            library.interrupt(self.token.label())?;
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<Tie, TokenState> {
        let broken = |what, error: &Error| TokenState::Broken(CallError::new(what, error).to_string());
        let library = Library::open(&self.token.settings.library).map_err(|error| TokenState::Broken(error.to_string()))?;
        if self.failed > 1 {
            self.start_anew(&library).map_err(|error| broken("C_Initialize", &error))?;
        }
        let (token, login) = (&self.token, &mut self.login);
        let _inside = library.enter();
        let (slot, told) = find_slot(&library, token)?;
        let anchor = library.open_session(slot).map_err(|error| broken("C_OpenSession", &error))?;
        login.log_in(&anchor, token.settings.pin.as_ref(), &told, || {
            library.pkcs11.get_token_info(slot).ok()
        })?;
        let probe = library.open_session(slot).map_err(|error| broken("C_OpenSession", &error))?;
        search(&probe, None).map_err(|error| broken("C_FindObjects", &error))?;
        let info = told_info(&library, slot, &told);
        Ok(Tie {
            link: Link {
                library: Arc::clone(&library),
                slot,
                start: library.starts(),
                generation: self.generation + 1,
                tells_login: is_logged_in(&anchor),
            },
            info,
            probe,
            anchor,
            _connected: library.connected(token.label(), slot, login.will_do_again(&told)),
        })
    }
}

impl Tie {
    /// Whether the token is still there, still the same one, logged in, and finds what it found.
    fn check(&mut self, token: &Token, known_key: Option<&str>) -> Result<(), String> {
        let said = |what, error: &Error| CallError::new(what, error).to_string();
        let pkcs11 = &self.link.library.pkcs11;
        let told = pkcs11
            .get_token_info(self.link.slot)
            .map_err(|error| said("C_GetTokenInfo", &error))?;
        if told.label().trim_end() != token.label() || told.serial_number().trim() != self.info.serial {
            return Err(format!("another token, `{}`, is in its slot", told.label().escape_debug()));
        }
        match self.anchor.get_session_info() {
            Ok(_) if self.link.tells_login && !is_logged_in(&self.anchor) => return Err("the login was lost".into()),
            Ok(_) | Err(Error::Pkcs11(RvError::FunctionNotSupported, _)) => {}
            Err(error) => return Err(said("C_GetSessionInfo", &error)),
        }
        let found = match search(&self.probe, known_key) {
            Ok(found) => found,
            Err(_) => {
                self.probe = self
                    .link
                    .library
                    .open_session(self.link.slot)
                    .map_err(|error| said("C_OpenSession", &error))?;
                search(&self.probe, known_key).map_err(|error| said("C_FindObjects", &error))?
            }
        };
        match known_key {
            Some(label) if !found => Err(format!("the key labelled `{label}` is not found any more")),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether there is a private key, of this label.
fn search(session: &Session, label: Option<&str>) -> Result<bool, Error> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
    let mut found = session.iter_objects_with_cache_size(&template, NonZeroUsize::MIN)?;
    found.next().transpose().map(|key| key.is_some())
}

fn find_slot(library: &Library, token: &Token) -> Result<(Slot, Told), TokenState> {
    let slots = library.pkcs11.get_slots_with_token();
    let slots = slots.map_err(|error| TokenState::Broken(CallError::new("C_GetSlotList", &error).to_string()))?;
    let (mut right, mut others) = (Vec::new(), Vec::new());
    for slot in slots.into_iter().take(SLOTS_MAX) {
        match library.pkcs11.get_token_info(slot) {
            Ok(info) if info.label().trim_end() == token.label() => right.push((slot, info)),
            Ok(info) if info.token_initialized() => {
                others.push(format!("`{}` in slot {}", info.label().trim_end().escape_debug(), slot.id()));
            }
            Ok(_) => others.push(format!("a token that was never initialised in slot {}", slot.id())),
            Err(error) => others.push(format!("nothing usable in slot {} ({})", slot.id(), described(&error))),
        }
    }
    let wanted = token.settings.slot_id;
    let numbers = right.iter().map(|(slot, _)| slot.id().to_string()).collect::<Vec<_>>().join(", ");
    let count = right.len();
    let mut chosen = right
        .into_iter()
        .filter(|(slot, _)| wanted.is_none_or(|wanted| slot.id() == wanted));
    match (chosen.next(), chosen.next(), wanted) {
        (Some(one), None, _) => Ok(one),
        (Some(_), Some(_), _) => Err(TokenState::Broken(format!(
            "{count} tokens are labelled `{}`, in slots {numbers}; say which with `slot_id`",
            token.label()
        ))),
        (None, _, Some(wanted)) if count > 0 => Err(TokenState::Broken(format!(
            "`slot_id` is {wanted}, and the token is in slot {numbers}; slots are renumbered, so leave `slot_id` out unless labels repeat"
        ))),
        (None, ..) => Err(TokenState::Absent(format!("no token of this label; there is {}", listed(&others)))),
    }
}

/// Names for a message, as many as fit.
pub(crate) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".into(),
        count if count > NAMED_MAX => format!("{shown} and {} more", count - NAMED_MAX),
        _ => shown,
    }
}

fn told_info(library: &Library, slot: Slot, told: &Told) -> TokenInfo {
    let offered = library.pkcs11.get_mechanism_list(slot).unwrap_or_else(|error| {
        tracing::warn!(slot = slot.id(), "no list of mechanisms: {}", described(&error));
        Vec::new()
    });
    let manufacturer = told.manufacturer_id().trim().to_owned();
    let model = told.model().trim().to_owned();
    TokenInfo {
        slot: slot.id(),
        provider: library.provider(&manufacturer, &model),
        manufacturer,
        model,
        serial: told.serial_number().trim().to_owned(),
        library_description: library.description.clone(),
        library_manufacturer: library.manufacturer.clone(),
        library_version: library.version.clone(),
        schemes: mechanism::signs(&offered),
        generates: mechanism::generates(&offered),
        derives: false,
    }
}
