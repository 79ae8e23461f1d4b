//! One token: how it is, its sessions, and one call to it. Its [`crate::keeper`] connects it and looks after it.

mod watch;

use crate::calls::{Calls, NoAnswer};
use crate::counters::Tally;
use crate::failure::{CallError, ErrorKind, Failure, Remedy};
use crate::library::{Inside, Library};
use crate::pool::{Open, Pool, Seat};
use crate::settings::{Pace, TokenSettings};
use crate::status::{TokenInfo, TokenState, TokenStatus};
use cryptoki::session::SessionState;
use cryptoki::slot::Slot;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls at once on their callers' own threads, which cannot be left if the library hangs: one for each core of a small machine.
const HERE_MAX: usize = 2;

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// It is left when the time is over.
    Strict(Duration),
    /// The same, but its caller may run it himself, and stay, while the token answers.
    Lenient(Duration),
}

/// A look at a token that takes longer has hung: a token on another continent answers in a tenth of it.
const LOOK_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Token {
    pub(crate) settings: TokenSettings,
    pub(crate) pace: Pace,
    pub(crate) tally: Arc<Tally>,
    pool: Arc<Pool>,
    calls: Calls,
    view: Mutex<View>,
    changed: Condvar,
    /// A call failed since the last look that found all well: other tokens are asked first.
    shaky: AtomicBool,
    /// Held while a key is made and while the token is looked at: SoftHSM fails to make one now and then if it is searched meanwhile.
    pub(crate) undisturbed: Mutex<()>,
}

struct View {
    state: TokenState,
    link: Option<Link>,
    seen: Option<TokenInfo>,
    /// Looks finished.
    looks: u64,
    /// Since when the one that runs does.
    looking: Option<Instant>,
    /// A key that was found, to be found again by the next look.
    known_key: Option<String>,
    wake: bool,
    /// An operator waits for a look of his own, and it runs; how many ended.
    operator: bool,
    for_operator: bool,
    served: u64,
    stop: bool,
    ended: bool,
}

/// A connection to the token.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) library: Arc<Library>,
    pub(crate) slot: Slot,
    /// The library's, as [`Library::starts`] counts them.
    pub(crate) start: u64,
    /// Counts the connections.
    pub(crate) generation: u64,
    /// Sessions told after the login that they are logged in; where they do not, they say nothing about a lost login either.
    pub(crate) tells_login: bool,
}

/// Why the keeper goes on.
pub(crate) enum Wake {
    Look,
    /// An operator wants the PIN used again.
    Operator,
    Stop,
}

impl Token {
    pub(crate) fn new(settings: TokenSettings, pace: Pace, sessions: usize, tally: Arc<Tally>) -> Self {
        Self {
            settings,
            pace,
            pool: Pool::new(sessions),
            calls: Calls::new(Arc::clone(&tally)),
            tally,
            view: Mutex::new(View {
                state: TokenState::Absent("it has not been looked for yet".into()),
                link: None,
                seen: None,
                looks: 0,
                looking: None,
                known_key: None,
                wake: false,
                operator: false,
                for_operator: false,
                served: 0,
                stop: false,
                ended: false,
            }),
            changed: Condvar::new(),
            shaky: AtomicBool::new(false),
            undisturbed: Mutex::new(()),
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn label(&self) -> &str {
        &self.settings.label
    }

    /// How it is. What hangs is broken, though nobody has said so.
    pub(crate) fn state(&self) -> TokenState {
        let view = self.view();
        let hangs = view.looking.map(|since| since.elapsed()).filter(|took| *took > LOOK_MAX);
        if let Some(took) = hangs {
            // Whatever it was before: a library that hangs while a token is looked for finds none.
            return TokenState::Broken(format!(
                "`{}` has not answered for {} s, since {}",
                self.settings.library.display(),
                took.as_secs(),
                if view.looks == 0 {
                    "the first look at the token"
                } else {
                    "a look at the token"
                }
            ));
        }
        if view.state != TokenState::Ready {
            return view.state.clone();
        }
        let overdue = self.calls.overdue();
        if overdue >= self.pool.size() {
            return TokenState::Broken(format!("{overdue} calls have not returned, and there are no more sessions"));
        }
        TokenState::Ready
    }

    pub(crate) fn is_shaky(&self) -> bool {
        self.shaky.load(Ordering::Relaxed) || self.calls.overdue() > 0
    }

    pub(crate) fn status(&self) -> TokenStatus {
        let state = self.state();
        TokenStatus {
            label: self.settings.label.clone(),
            library: self.settings.library.clone(),
            state,
            seen: self.view().seen.clone(),
            sessions_in_use: self.pool.in_use(),
            sessions: self.pool.size(),
            calls_overdue: self.calls.overdue(),
        }
    }

    /// Whether a session that is free soon is not to be expected: as many calls in a row as there are sessions overran their deadline.
    fn is_stuck(&self) -> bool {
        let overdue = self.calls.overdue();
        overdue >= self.pool.size() || overdue > 0 && self.calls.late_in_a_row() >= self.pool.size()
    }

    /// Runs `work` with a session, on a thread that can be left or on this one. If session or handles went stale, once more with new ones.
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        wait: Duration,
        limit: Limit,
        work: impl FnMut(&Token, &mut Open) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let state = self.state();
        if state != TokenState::Ready {
            return Err(self.not_ready(state));
        }
        let begun = Instant::now();
        let seat = self.pool.take(wait, || self.is_stuck()).ok_or_else(|| match self.state() {
            TokenState::Ready => Failure::NoSession {
                token: self.label().into(),
                sessions: self.pool.size(),
                waited: begun.elapsed(),
            },
            state @ (TokenState::Absent(_) | TokenState::PinRefused { .. } | TokenState::Broken(_)) => self.not_ready(state),
        });
        let outcome = seat.and_then(|seat| {
            let deadline = match limit {
                Limit::Lenient(deadline) if self.calls.answers() && self.calls.here() < HERE_MAX => {
                    return self.calls.run_here(deadline, || self.attempt(seat, wait, work));
                }
                Limit::Lenient(deadline) | Limit::Strict(deadline) => deadline,
            };
            let token = Arc::clone(self);
            match self.calls.run(deadline, move || token.attempt(seat, wait, work)) {
                Ok(outcome) => outcome,
                Err(why) => Err(self.no_answer(why, deadline)),
            }
        });
        if outcome.is_err() {
            self.shaky.store(true, Ordering::Relaxed);
            self.look_soon();
        }
        outcome
    }

    fn not_ready(&self, state: TokenState) -> Failure {
        Failure::NotReady {
            token: self.label().into(),
            state,
        }
    }

    fn no_answer(&self, why: NoAnswer, deadline: Duration) -> Failure {
        let own = |answer: String| {
            self.failure(CallError {
                what: "the call",
                answer,
                kind: ErrorKind::Other,
                remedy: Remedy::None,
            })
        };
        match why {
            NoAnswer::Overdue => Failure::Overdue {
                token: self.label().into(),
                deadline,
            },
            NoAnswer::NoThread(error) => own(format!("no thread for it: {error}")),
            NoAnswer::Panicked => own("it panicked".into()),
        }
    }

    fn attempt<T>(&self, seat: Seat, wait: Duration, mut work: impl FnMut(&Token, &mut Open) -> Result<T, Failure>) -> Result<T, Failure> {
        let Some(library) = self.view().link.as_ref().map(|link| Arc::clone(&link.library)) else {
            return Err(self.not_ready(self.state()));
        };
        let _inside = self.enter(&library, Instant::now() + wait)?;
        // Given back, or its session closed, inside.
        let mut seat = seat;
        let mut again = true;
        loop {
            let outcome = self.open(&mut seat).and_then(|open| {
                let outcome = work(self, open);
                outcome.map_err(|failure| self.doubt(failure, open))
            });
            let Err(failure) = outcome else {
                return outcome;
            };
            // It may have an operation left unfinished, which no other call could get rid of.
            seat.open = None;
            match failure.remedy() {
                Remedy::NewSession if again => again = false,
                Remedy::Reconnect => {
                    self.lost(&failure);
                    return Err(failure);
                }
                Remedy::NewSession | Remedy::None => return Err(failure),
            }
        }
    }

    /// Enters the library. If it was started anew, waits until the keeper has connected the token again.
    fn enter<'a>(&self, library: &'a Library, until: Instant) -> Result<Inside<'a>, Failure> {
        let anew = || {
            self.not_ready(TokenState::Absent(
                "its library is being started anew, to find another token".into(),
            ))
        };
        loop {
            let inside = library.enter_until(until).ok_or_else(anew)?;
            let stale = |view: &View| view.link.as_ref().is_some_and(|link| link.start != library.starts());
            if !stale(&self.view()) {
                return Ok(inside);
            }
            drop(inside);
            if Instant::now() >= until {
                return Err(anew());
            }
            self.look_soon();
            self.wait(until, |view| !stale(view));
        }
    }

    fn open<'a>(&self, seat: &'a mut Seat) -> Result<&'a mut Open, Failure> {
        let (link, state) = {
            let view = self.view();
            (view.link.clone(), view.state.clone())
        };
        let Some(link) = link.filter(|_| state == TokenState::Ready) else {
            return Err(self.not_ready(state));
        };
        let open = match seat.open.take().filter(|open| open.link.generation == link.generation) {
            Some(open) => open,
            None => {
                let session = link.library.open_session(link.slot);
                let session = session.map_err(|error| self.call("C_OpenSession", &error))?;
                Open::new(session, link)
            }
        };
        Ok(seat.open.insert(open))
    }

    /// A key that is not found may be there: a token that went away finds nothing (SoftHSM), and one that is logged out hides it.
    fn doubt(&self, failure: Failure, open: &Open) -> Failure {
        if !matches!(failure, Failure::NoKey { .. }) {
            return failure;
        }
        if let Err(error) = open.link.library.pkcs11.get_token_info(open.link.slot) {
            let call = CallError {
                kind: ErrorKind::Unavailable,
                remedy: Remedy::Reconnect,
                ..CallError::new("C_GetTokenInfo", &error)
            };
            return self.failure(call);
        }
        let logged_out = open.session.get_session_info().is_ok_and(|info| match info.session_state() {
            SessionState::RoPublic | SessionState::RwPublic => true,
            SessionState::RoUser | SessionState::RwUser | SessionState::RwSecurityOfficer => false,
        });
        if logged_out && open.link.tells_login {
            return self.failure(CallError {
                what: "C_FindObjects",
                answer: "the login was lost".into(),
                kind: ErrorKind::Pin,
                remedy: Remedy::Reconnect,
            });
        }
        failure
    }

    pub(crate) fn call(&self, what: &'static str, error: &cryptoki::error::Error) -> Failure {
        self.failure(CallError::new(what, error))
    }

    fn failure(&self, call: CallError) -> Failure {
        Failure::Call {
            token: self.label().into(),
            call,
        }
    }

    /// Remembers a key that is there, for the next look.
    pub(crate) fn found(&self, label: &str) {
        let mut view = self.view();
        if view.known_key.as_deref() != Some(label) {
            view.known_key = Some(label.into());
        }
    }

    /// Nobody asks it any more until its keeper has found it again.
    fn lost(&self, failure: &Failure) {
        let mut view = self.view();
        if view.state == TokenState::Ready {
            view.state = TokenState::Absent(failure.to_string());
            tracing::warn!(token = %self.settings.label, "lost the token: {failure}");
        }
    }

    fn look_soon(&self) {
        self.view().wake = true;
        self.changed.notify_all();
    }
}
