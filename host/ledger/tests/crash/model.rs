//! What the outside world was told, and what must therefore hold after every crash.

use crate::world::{ACCOUNT, VALIDATOR, floor_key};
use sigwarden_core::floor::{FloorKey, MessageClass, Position};
use sigwarden_core::key::KeyId;
use sigwarden_core::state::{State, StateName};
use sigwarden_core::{KeyState, Signed};
use sigwarden_ledger::disk::{Access, Disk};
use sigwarden_ledger::record::{Kind, Line};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What was acknowledged so far, over all lives.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Records that were acknowledged: what they must contain.
    records: BTreeMap<u64, (Vec<Kind>, String)>,
    /// The bytes that were signed for a position of the validator.
    signed: HashMap<Position, Vec<u8>>,
    floor: Option<Position>,
    extension_floor: Option<Position>,
    nonce: u64,
    transfers: u64,
    arrival_ns: u64,
    /// The acknowledged state of the account key, and those that were asked for later without an answer: any of them may have survived.
    pub(crate) account: Option<KeyState>,
    pub(crate) account_asked: Vec<KeyState>,
    pub(crate) deployment: Option<String>,
    /// What an operator took out of the archive.
    pub(crate) taken_away: Vec<u8>,
}

/// `chain/height/round/step/seconds/block`, as [`crate::world`] decodes it.
fn position(vote: &str) -> Position {
    let mut parts = vote.split('/').skip(1).map(|part| part.parse().unwrap());
    Position([parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap()])
}

impl Model {
    /// A backend signed these bytes: from now on they stand.
    pub(crate) fn made(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).unwrap();
        if let Some(nonce) = text.strip_prefix("transfer/") {
            self.nonce = self.nonce.max(nonce.parse().unwrap());
        } else if let Some(extension) = text.strip_prefix("extension/") {
            let height: u64 = extension.split('/').next().unwrap().parse().unwrap();
            self.extension_floor = self.extension_floor.max(Some(Position([height, 0, 3])));
        } else {
            let position = position(text);
            let first = self.signed.entry(position).or_insert_with(|| bytes.to_vec());
            if first != bytes {
                let first = String::from_utf8_lossy(first);
                return Err(format!("two messages were signed for {position}: {first} and {text}"));
            }
            self.floor = self.floor.max(Some(position));
        }
        Ok(())
    }

    /// A signature was released.
    pub(crate) fn released(&mut self, signed: &Signed, transfer: bool) {
        let kinds = vec![if signed.replay { Kind::Replay } else { Kind::Decision }];
        self.records
            .insert(signed.sequence, (kinds, format!("\"request\":\"{}\"", signed.request_id)));
        self.transfers += u64::from(transfer);
    }

    /// An administration was acknowledged.
    pub(crate) fn administered(&mut self, sequence: u64, kind: Kind, reason: &str) {
        self.records.insert(sequence, (vec![kind], format!("\"reason\":\"{reason}\"")));
    }

    pub(crate) fn floor_set(&mut self, position: Position) {
        self.floor = self.floor.max(Some(position));
    }

    /// Whether these bytes may be signed now, for all that was told.
    pub(crate) fn highest(&self) -> Position {
        self.floor.unwrap_or(Position([0, 0, 0]))
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// A message at this position that was signed before.
    pub(crate) fn signed_at(&self, position: Position) -> Option<&[u8]> {
        self.signed.get(&position).map(Vec::as_slice)
    }

    /// What a ledger that started knows.
    pub(crate) fn check_state(&mut self, state: &State) -> Result<(), String> {
        let floor = |class| {
            let key = FloorKey { class, ..floor_key() };
            state.floors.get(&key).map(|floor| floor.position)
        };
        let expect = |what: &str, found: Option<Position>, least: Option<Position>| match found < least {
            true => Err(format!("the {what} fell: {found:?}, {least:?} was acknowledged")),
            false => Ok(()),
        };
        expect("floor", floor(MessageClass::CometBft), self.floor)?;
        expect("extension's floor", floor(MessageClass::CometBftExtension), self.extension_floor)?;
        let name = |name: &str| StateName {
            instance: "rules".into(),
            name: name.into(),
        };
        let nonce = state.watermarks.get(&name("nonce")).map_or(0, |watermark| watermark.position[0]);
        if nonce < self.nonce {
            return Err(format!("the watermark fell: {nonce}, {} was signed", self.nonce));
        }
        let arrival = state.buckets.get(&name("transfers")).map_or(0, |bucket| bucket.arrival_ns);
        if arrival < self.arrival_ns {
            return Err(format!("the rate limit gave back: {arrival}, it was {}", self.arrival_ns));
        }
        let count = state
            .storage
            .get(&name("count"))
            .map_or(0, |stored| u64::from_be_bytes(stored.value.as_slice().try_into().unwrap()));
        if count < self.transfers {
            return Err(format!("the stored count is {count}, {} transfers were released", self.transfers));
        }
        let of_account = state.keys.get(&ACCOUNT.parse::<KeyId>().unwrap()).map(|status| status.state);
        let asked = of_account.is_some_and(|state| self.account_asked.contains(&state));
        if self.account.is_some() && of_account != self.account && !asked {
            let wanted = (self.account, &self.account_asked);
            return Err(format!("the account's key is {of_account:?}, {wanted:?} was told"));
        }
        if let (Some(_), Some(uses)) = (self.account, state.keys.get(&VALIDATOR.parse::<KeyId>().unwrap())) {
            let known = self.signed.len() as u64;
            if uses.uses < known {
                return Err(format!("the validator's key has {} uses, {known} positions were signed", uses.uses));
            }
        }
        // What is known now was durable before, and must stay.
        self.account = of_account.or(self.account);
        self.account_asked.clear();
        self.arrival_ns = arrival;
        self.floor = self.floor.max(floor(MessageClass::CometBft));
        self.extension_floor = self.extension_floor.max(floor(MessageClass::CometBftExtension));
        self.nonce = nonce;
        self.transfers = self.transfers.max(count);
        Ok(())
    }

    /// What the log and the archive hold, read by their files alone.
    pub(crate) fn check_log(&self, disk: &dyn Disk, state_dir: &Path) -> Result<(), String> {
        let mut found: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut look = |bytes: &[u8]| {
            for line in bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| line.starts_with(b"{\"sequence\":"))
            {
                let digits = line[b"{\"sequence\":\"".len()..].iter().take_while(|byte| byte.is_ascii_digit());
                let sequence = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
                if self.records.contains_key(&sequence) {
                    found.insert(sequence, line.to_vec());
                }
            }
        };
        look(&self.taken_away);
        for dir in [state_dir.join("archive"), state_dir.join("log")] {
            for name in disk.list(&dir).unwrap_or_default() {
                let file = disk.open(&dir.join(&name), Access::Read).map_err(|error| error.to_string())?;
                let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
                file.read_at(0, &mut bytes).unwrap();
                look(&bytes);
            }
        }
        for (sequence, (kinds, text)) in &self.records {
            let Some(line) = found.get(sequence) else {
                return Err(format!("record {sequence} with {text} was acknowledged and is gone"));
            };
            let kind = Line::parse(line).map_err(|error| format!("record {sequence}: {error}"))?.kind;
            if !kinds.contains(&kind) || !String::from_utf8_lossy(line).contains(text.as_str()) {
                return Err(format!(
                    "record {sequence} is a {} and not what was acknowledged: {text}",
                    kind.name()
                ));
            }
        }
        Ok(())
    }
}
