//! One request, asked until it is answered: at the first remote that is up, again at the same one if its answer was lost, then at the
//! next. Always the same question: the same request id, the same bytes.

use crate::backoff::Backoff;
use crate::connection::Answer;
use crate::failure::Failure;
use crate::link::{Link, State};
use crate::message::{Question, Reply};
use crate::text::shown;
use crate::weigh::{Weight, weigh};
use sigwarden_protocol::proto;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first pause before a lost answer is asked for again, and the longest: a remote that is alive answers in a few milliseconds, one
/// that restarts takes a second or two.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    pub(crate) call: Duration,
    pub(crate) total: Duration,
}

/// A remote did not sign, and another one may.
struct Away {
    reason: String,
    /// It may have decided the request: asking on is worth the time.
    lost: bool,
}

enum Turned {
    Away(Away),
    Final(Failure),
}

/// Asks. Returns the reply with the remote's address.
pub(crate) async fn ask(links: &[Arc<Link>], question: &Question, deadlines: Deadlines) -> Result<(Reply, String), Failure> {
    let until = Instant::now() + deadlines.total;
    let mut rounds = Backoff::new(PAUSES.0, PAUSES.1);
    let mut lost = false;
    loop {
        let mut away = Vec::new();
        let links = in_order(links);
        for (left, link) in (1..=links.len()).rev().zip(links) {
            // An equal share of what is left, so that one that hangs leaves time for the next.
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let share = until.saturating_duration_since(Instant::now()) / left;
            match ask_one(link, question, Instant::now() + share, deadlines.call).await {
                Ok(reply) => return Ok((reply, link.address().to_owned())),
                Err(Turned::Final(failure)) => return Err(failure),
                Err(Turned::Away(turned)) => {
                    lost |= turned.lost;
                    away.push(format!("{}: {}", link.address(), turned.reason));
                }
            }
        }
        let pause = rounds.pause();
        // What reached no remote is not worth a thread's time: the caller asks again.
        if !lost || Instant::now() + pause >= until {
            return Err(Failure::Unreachable(away));
        }
        sleep(pause).await;
    }
}

/// In the order of the configuration: those that are up, those of which it is not known yet, those that are down.
fn in_order(links: &[Arc<Link>]) -> Vec<&Arc<Link>> {
    let mut links: Vec<_> = links.iter().collect();
    links.sort_by_cached_key(|link| match link.state() {
        State::Up => 0,
        State::Unknown => 1,
        State::Down(_) => 2,
    });
    links
}

/// Asks one remote until it answers, it cannot be reached, or its time is over.
async fn ask_one(link: &Link, question: &Question, until: Instant, call: Duration) -> Result<Reply, Turned> {
    let mut pauses = Backoff::new(PAUSES.0, PAUSES.1);
    let mut lost: Option<String> = None;
    loop {
        let connection = match link.connection(until).await {
            Ok(connection) => connection,
            Err(reason) => return Err(away(lost, reason)),
        };
        link.tally.asked(lost.is_some());
        let answer = connection.ask(question, until.min(Instant::now() + call)).await;
        let reason = match answer {
            Answer::Reply(reply) => {
                link.tally.answered();
                return Ok(reply);
            }
            Answer::Refused(refusal) => {
                link.tally.refused();
                match weigh(&refusal.code) {
                    Weight::Final => return Err(Turned::Final(refused(link, &refusal))),
                    Weight::Reused => return Err(Turned::Final(reused(link, question, &refusal))),
                    Weight::Unable => return Err(away(lost, text(&refusal))),
                    Weight::Unknown => text(&refusal),
                }
            }
            Answer::Alien(reason) => return Err(away(lost, reason)),
            Answer::Broken(reason) => {
                link.broken(&connection);
                reason
            }
            Answer::Late(reason) => reason,
        };
        link.tally.lost();
        if let Some(before) = link.told_lost.count(Instant::now()) {
            tracing::warn!(
                remote = link.address(),
                request = question.request_id(),
                before,
                "an answer was lost, and is asked for again: {reason}; `before` more since the last line"
            );
        }
        let pause = pauses.pause();
        if Instant::now() + pause >= until {
            return Err(away(Some(reason), "its time is over".to_owned()));
        }
        lost = Some(reason);
        sleep(pause).await;
    }
}

fn away(lost: Option<String>, reason: String) -> Turned {
    Turned::Away(match lost {
        Some(before) => Away {
            reason: format!("an answer was lost ({before}), then: {reason}"),
            lost: true,
        },
        None => Away { reason, lost: false },
    })
}

fn text(refusal: &proto::Refusal) -> String {
    format!("{}: {}", shown(&refusal.code), shown(&refusal.message))
}

fn refused(link: &Link, refusal: &proto::Refusal) -> Failure {
    Failure::Refused {
        remote: link.address().to_owned(),
        code: shown(&refusal.code),
        message: shown(&refusal.message),
    }
}

fn reused(link: &Link, question: &Question, refusal: &proto::Refusal) -> Failure {
    let failure = Failure::Reused {
        remote: link.address().to_owned(),
        request_id: question.request_id().to_owned(),
        message: shown(&refusal.message),
    };
    tracing::error!("ALARM: {failure}");
    failure
}
