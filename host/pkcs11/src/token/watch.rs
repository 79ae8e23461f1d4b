//! What a token's keeper and its backend do beside calls.

use super::{Link, Token, View, Wake};
use crate::status::{TokenInfo, TokenState};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What the keeper does with it.
impl Token {
    pub(crate) fn look_begins(&self) -> Option<String> {
        let mut view = self.view();
        view.looking = Some(Instant::now());
        view.wake = false;
        view.known_key.clone()
    }

    /// A look ended: with a connection and what the token says of itself, or with why there is none.
    pub(crate) fn look_ended(&self, outcome: Result<(Link, TokenInfo), TokenState>) {
        let mut view = self.view();
        view.looking = None;
        view.looks += 1;
        view.served += u64::from(std::mem::take(&mut view.for_operator));
        match outcome {
            Ok((link, info)) => {
                if view.link.as_ref().is_none_or(|old| old.generation != link.generation) {
                    tracing::info!(token = %self.settings.label, slot = info.slot, model = %info.model, "the token is ready");
                    if view.seen.is_some() {
                        self.tally.reconnected();
                    }
                    view.known_key = None;
                }
                (view.link, view.seen, view.state) = (Some(link), Some(info), TokenState::Ready);
                self.shaky.store(false, Ordering::Relaxed);
            }
            Err(state) => {
                if view.looks == 1 || view.state.name() != state.name() || view.link.is_some() {
                    tracing::warn!(token = %self.settings.label, "the token is {state}");
                }
                view.link = None;
                view.state = state;
            }
        }
        drop(view);
        self.changed.notify_all();
    }

    /// Waits so long, or until somebody wakes it. Without a time it waits for an operator. Between two attempts to reach a lost token no
    /// failed call wakes it: the pause is what keeps that token from being asked for every request.
    pub(crate) fn pause(&self, time: Option<Duration>, calls_wake: bool) -> Wake {
        let until = time.map(|time| Instant::now() + time);
        let mut view = self.view();
        loop {
            if view.stop {
                return Wake::Stop;
            }
            if std::mem::take(&mut view.operator) {
                view.for_operator = true;
                return Wake::Operator;
            }
            if view.wake && calls_wake {
                return Wake::Look;
            }
            view = match until {
                None => self.changed.wait(view).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Wake::Look;
                    }
                    self.changed.wait_timeout(view, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    pub(crate) fn ended(&self) {
        self.view().ended = true;
        self.changed.notify_all();
    }

    pub(crate) fn close_idle_sessions(&self) {
        self.pool.close_idle();
    }
}

/// What the backend does with it.
impl Token {
    pub(crate) fn wait_for_look(&self, until: Instant) {
        self.wait(until, |view| view.looks > 0 || view.ended);
    }

    /// Lets the PIN be used again. Returns what [`Self::wait_for_operator`] wants to know.
    pub(crate) fn operator_acts(&self) -> u64 {
        let mut view = self.view();
        view.operator = true;
        let served = view.served;
        drop(view);
        self.changed.notify_all();
        served
    }

    /// Waits until the look that the operator wanted has ended: not one that ran already.
    pub(crate) fn wait_for_operator(&self, served: u64, until: Instant) {
        self.wait(until, |view| (view.served > served && !view.operator) || view.ended);
    }

    pub(crate) fn stop(&self) {
        self.view().stop = true;
        self.changed.notify_all();
    }

    pub(crate) fn wait_for_end(&self, until: Instant) {
        self.wait(until, |view| view.ended);
    }

    pub(super) fn wait(&self, until: Instant, done: impl Fn(&View) -> bool) {
        let mut view = self.view();
        while !done(&view) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            view = self.changed.wait_timeout(view, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
