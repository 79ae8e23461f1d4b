//! What happens between a start and a crash.

use crate::model::Model;
use crate::world::{ACCOUNT, NOW, VALIDATOR, World, floor_key, public_key};
use sigwarden_core::caller::Peer;
use sigwarden_core::floor::{Floor, Position, Taken};
use sigwarden_core::key::KeyId;
use sigwarden_core::pipeline::Asked;
use sigwarden_core::state::Effect;
use sigwarden_core::{Format, KeyState, Scheme, SignCall};
use sigwarden_ledger::disk::simulated::Random;
use sigwarden_ledger::record::Kind;
use sigwarden_ledger::{AdminKind, Administration};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Pins both keys and sets the validator's floor, as far as that was not done in an earlier life.
pub(crate) fn set_up(world: &World, model: &Mutex<Model>) -> Result<(), String> {
    let state = world.pipeline.snapshot();
    let pinned = |key: &str| Effect::KeyPinned {
        key: key.parse().unwrap(),
        scheme: Scheme::Ed25519,
        public_key: public_key(),
        created_ms: NOW,
        state: KeyState::Active,
    };
    let missing = |key: &&str| !state.keys.contains_key(&key.parse::<KeyId>().unwrap());
    let pins: Vec<_> = [VALIDATOR, ACCOUNT].into_iter().filter(missing).map(pinned).collect();
    if pins.len() == 1 {
        return Err("one of two keys was pinned, though it was one change".to_owned());
    }
    if !pins.is_empty() && administer(world, model, AdminKind::PublicKey, Kind::PublicKey, pins, "pins") {
        model.lock().unwrap().account = Some(KeyState::Active);
    }
    if !state.floors.contains_key(&floor_key()) {
        set_floor(world, model, Position::end_of_height(1));
    }
    Ok(())
}

fn administer(world: &World, model: &Mutex<Model>, kind: AdminKind, recorded: Kind, effects: Vec<Effect>, reason: &str) -> bool {
    let change = Administration {
        kind,
        operator: "test".into(),
        reason: reason.into(),
        now_ms: world.clock.load(Ordering::SeqCst),
        effects,
    };
    let done = world.ledger.administer(change);
    if let Ok(sequence) = &done {
        model.lock().unwrap().administered(*sequence, recorded, reason);
    }
    done.is_ok()
}

fn set_floor(world: &World, model: &Mutex<Model>, position: Position) {
    let floor = Floor {
        position,
        taken: Taken::Operator,
    };
    let effect = Effect::Floor { key: floor_key(), floor };
    if administer(
        world,
        model,
        AdminKind::Floor,
        Kind::Floor,
        vec![effect],
        &format!("floor {position}"),
    ) {
        model.lock().unwrap().floor_set(position);
    }
}

/// One thing that somebody does. `administers` is for one thread at a time.
pub(crate) fn step(world: &World, model: &Mutex<Model>, random: &mut Random, administers: bool) {
    match random.below(if administers { 32 } else { 26 }) {
        0..=13 => vote(world, model, random),
        14..=15 => batch(world, model, random),
        16..=24 => transfer(world, model, random),
        25 => {
            world.clock.fetch_add(random.below(3_000), Ordering::SeqCst);
        }
        26..=28 => drop(world.ledger.keep()),
        29 => {
            let state = match random.one_in(2) {
                true => KeyState::Suspended,
                false => KeyState::Active,
            };
            model.lock().unwrap().account_asked.push(state);
            let effect = Effect::KeyState {
                key: ACCOUNT.parse().unwrap(),
                state,
                grace: None,
            };
            if administer(world, model, AdminKind::Lifecycle, Kind::Lifecycle, vec![effect], "state") {
                let mut model = model.lock().unwrap();
                model.account = Some(state);
                model.account_asked.clear();
            }
        }
        30 => {
            let Position([height, ..]) = model.lock().unwrap().highest();
            let height = if height > 1_000_000 { 1 } else { height };
            set_floor(world, model, Position::end_of_height(height + random.below(3)));
        }
        _ => {
            let past = world.clock.load(Ordering::SeqCst).saturating_sub(random.below(4_000));
            world.clock.store(past.max(NOW), Ordering::SeqCst);
        }
    }
}

fn vote(world: &World, model: &Mutex<Model>, random: &mut Random) {
    let signed = world.sign(VALIDATOR, Format::CometBftVote, some_vote(model, random));
    if let Ok(signed) = signed {
        model.lock().unwrap().released(&signed, false);
    }
}

/// A new vote, the same with another time, another for the same position, or one for a position below; some with an extension.
fn some_vote(model: &Mutex<Model>, random: &mut Random) -> Vec<u8> {
    let Position([height, ..]) = model.lock().unwrap().highest();
    let new = |random: &mut Random| match random.below(4) {
        0 => height.max(1),
        1..=2 => height + 1,
        _ => height.saturating_sub(random.below(3)).max(1),
    };
    let (height, seconds) = (new(random), random.below(1_000_000));
    let (round, step) = (random.below(2), 1 + random.below(3));
    let block = if random.one_in(4) { "other" } else { "block" };
    let mut payload = format!("chain/{height}/{round}/{step}/{seconds}/{block}");
    if step == 3 && random.one_in(3) {
        payload.push_str(&format!("+extension/{height}/{}", random.below(2)));
    }
    payload.into_bytes()
}

fn transfer(world: &World, model: &Mutex<Model>, random: &mut Random) {
    if let Ok(signed) = world.sign(ACCOUNT, Format::RawMessageNone, some_transfer(model, random, 0)) {
        model.lock().unwrap().released(&signed, true);
    }
}

fn some_transfer(model: &Mutex<Model>, random: &mut Random, more: u64) -> Vec<u8> {
    let nonce = (model.lock().unwrap().nonce() + more + 1 + random.below(2)).saturating_sub(random.below(2));
    format!("transfer/{nonce}").into_bytes()
}

/// Several at once; two votes among them, the validator's key under two of its names.
fn batch(world: &World, model: &Mutex<Model>, random: &mut Random) {
    let name = VALIDATOR.strip_suffix(".v1").unwrap();
    let mut asked = Vec::new();
    for key in [VALIDATOR, name] {
        if random.one_in(2) {
            asked.push(call(key, Format::CometBftVote, some_vote(model, random)));
        }
    }
    let transfers = asked.len()..asked.len() + 1 + usize::try_from(random.below(4)).unwrap();
    for more in 0..transfers.len() as u64 {
        asked.push(call(ACCOUNT, Format::RawMessageNone, some_transfer(model, random, more)));
    }
    // On one thread, so that a seed determines what happens.
    world.pipeline.sign_all(asked, 1, || {}, &|index, signed| {
        if let Ok(signed) = signed {
            model.lock().unwrap().released(&signed, transfers.contains(&index));
        }
    });
}

fn call(key: &str, format: Format, payload: Vec<u8>) -> Asked {
    Asked {
        peer: Peer::User { uid: 1, gid: 1 },
        call: SignCall {
            operation: "sign".into(),
            key: key.into(),
            format: format.name().into(),
            scheme: String::new(),
            request_id: String::new(),
            payload,
            received: Instant::now(),
        },
    }
}

/// Whatever was signed before is not signed otherwise, and what is new is signed.
pub(crate) fn end(world: &World, model: &Mutex<Model>) -> Result<(), String> {
    // Behind no record's time.
    world.clock.fetch_add(10_000, Ordering::SeqCst);
    let Position([height, round, step]) = model.lock().unwrap().highest();
    let before = model.lock().unwrap().signed_at(Position([height, round, step])).map(<[u8]>::to_vec);
    if let Some(before) = before {
        let text = String::from_utf8(before).unwrap();
        let other = format!("chain/{height}/{round}/{step}/7/yet another");
        if world.sign(VALIDATOR, Format::CometBftVote, other.into_bytes()).is_ok() {
            return Err(format!("another message than {text} was signed for its position"));
        }
        world
            .sign(VALIDATOR, Format::CometBftVote, text.clone().into_bytes())
            .map_err(|refusal| format!("{text} was signed before and is refused now: {}", refusal.message))?;
    }
    let new = format!("chain/{}/0/1/1/block", height.saturating_add(1));
    world
        .sign(VALIDATOR, Format::CometBftVote, new.into_bytes())
        .map(drop)
        .map_err(|refusal| format!("a new vote is refused in the end: {}", refusal.message))
}
