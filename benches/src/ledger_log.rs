//! A log of so many records, as a validator's votes leave it, written by hand: a ledger would sign for minutes.

use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::Effect;
use sigwarden_core::{KeyState, Scheme};
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, Settings};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

const KEY: &str = "cosmos.validator.v1";
/// When it all happens, milliseconds since the Unix epoch.
pub const NOW_MS: u64 = 1_700_000_000_000;
/// Requests of a frame, two records each.
const FRAME: u64 = 16;

/// Settings of a ledger that does nothing by itself.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        keeper: false,
        ..Settings::new(NOW_MS, Arc::new(|_| {}))
    }
}

/// Makes a deployment with one key whose checkpoint is followed by decisions and outcomes of so many requests. Returns the bytes of its
/// log.
///
/// # Errors
/// The disk's.
pub fn write(state_dir: &Path, requests: u64) -> Result<u64, Box<dyn std::error::Error>> {
    filled(state_dir, |chain, file| {
        for n in 0..requests {
            chain.request(n);
            if (n + 1) % FRAME == 0 || n + 1 == requests {
                chain.end_frame_into(file)?;
            }
        }
        Ok(())
    })
}

/// Makes a deployment whose checkpoint is followed by so many request ids with their signatures, forty in a record. Returns the bytes of
/// its log.
///
/// # Errors
/// The disk's.
pub fn write_ids(state_dir: &Path, ids: u64) -> Result<u64, Box<dyn std::error::Error>> {
    const AT_ONCE: u64 = 40;
    filled(state_dir, |chain, file| {
        for begin in (0..ids).step_by(usize::try_from(AT_ONCE)?) {
            let effects: Vec<_> = (begin..ids.min(begin + AT_ONCE)).map(remembered).collect();
            chain.line("decision", &effects.join(","), "");
            chain.end_frame_into(file)?;
        }
        Ok(())
    })
}

/// A request id and what was signed for it, as effects.
fn remembered(n: u64) -> String {
    let (tag, signature) = (blake3::hash(&n.to_be_bytes()).to_hex(), "5e".repeat(64));
    format!(
        "{{\"effect\":\"request\",\"tag\":\"{tag}\",\"version\":1,\"identity\":\"{tag}\",\"payload\":\"{tag}\",\"decision\":\"{n:032x}\",\
         \"at-ms\":\"{}\"}},{{\"effect\":\"request-signed\",\"tag\":\"{tag}\",\"signatures\":[{{\"bytes\":\"{signature}\"}}]}}",
        NOW_MS + n,
    )
}

type Fill<'a> = &'a mut BufWriter<File>;

fn filled(
    state_dir: &Path,
    fill: impl FnOnce(&mut Chain, Fill<'_>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<u64, Box<dyn std::error::Error>> {
    let public_key = vec![7; 32];
    let key = KEY.parse()?;
    let pinned = Effect::KeyPinned {
        key,
        scheme: Scheme::Ed25519,
        public_key: public_key.clone(),
        created_ms: NOW_MS,
        state: KeyState::Active,
    };
    let floor = Effect::Floor {
        key: FloorKey {
            public_key,
            chain_id: "chain".into(),
            class: MessageClass::CometBft,
        },
        floor: Floor {
            position: Position::end_of_height(1),
            taken: Taken::Operator,
        },
    };
    let ledger = EmbeddedLedger::create(state_dir, settings())?;
    for (kind, effect) in [(AdminKind::PublicKey, pinned), (AdminKind::Floor, floor)] {
        ledger.administer(Administration {
            kind,
            operator: "bench".into(),
            reason: "bench".into(),
            now_ms: NOW_MS,
            effects: vec![effect],
        })?;
    }
    ledger.close()?;
    let health = ledger.health();
    let log = state_dir.join("log");
    let mut names: Vec<_> = std::fs::read_dir(&log)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    names.sort();
    let newest = names.last().ok_or("the ledger has no segment")?;
    let mut file = BufWriter::new(std::fs::OpenOptions::new().append(true).open(newest)?);
    let mut chain = Chain {
        sequence: health.last_sequence,
        head: health.head,
        frame: Vec::new(),
        first: health.last_sequence + 1,
    };
    fill(&mut chain, &mut file)?;
    file.into_inner()?.sync_all()?;
    let lengths = names.iter().map(|path| path.metadata().map(|metadata| metadata.len()));
    Ok(lengths.sum::<Result<u64, _>>()?)
}

struct Chain {
    sequence: u64,
    head: [u8; 32],
    frame: Vec<u8>,
    first: u64,
}

impl Chain {
    fn line(&mut self, kind: &str, effects: &str, body: &str) {
        self.sequence += 1;
        let (sequence, time, previous) = (self.sequence, NOW_MS * 1_000_000, hex::encode(self.head));
        let line = format!(
            "{{\"sequence\":\"{sequence}\",\"kind\":\"{kind}\",\"time\":\"{time}\",\"previous\":\"{previous}\",\"effects\":[{effects}],\"body\":{{{body}}}}}"
        );
        self.head = blake3::hash(line.as_bytes()).into();
        self.frame.extend_from_slice(line.as_bytes());
        self.frame.push(b'\n');
    }

    fn end_frame_into(&mut self, file: Fill<'_>) -> std::io::Result<()> {
        let (first, last, bytes, hash) = (self.first, self.sequence, self.frame.len(), blake3::hash(&self.frame).to_hex());
        let terminator =
            format!("{{\"frame\":{{\"first\":\"{first}\",\"last\":\"{last}\",\"bytes\":\"{bytes}\",\"blake3\":\"{hash}\"}}}}\n");
        self.frame.extend_from_slice(terminator.as_bytes());
        self.first = last + 1;
        file.write_all(&self.frame)?;
        self.frame.clear();
        Ok(())
    }

    /// A precommit of a height of its own, with three policies; and its signature.
    fn request(&mut self, n: u64) {
        let height = n + 2;
        let sign_bytes = format!("{height:0>110}");
        let input = blake3::hash(sign_bytes.as_bytes()).to_hex();
        let key = format!(
            "\"key\":{{\"public-key\":\"{}\",\"chain-id\":\"chain\",\"class\":\"cometbft\"}}",
            "07".repeat(32)
        );
        let position = format!("[\"{height}\",\"0\",\"3\"]");
        let effects = format!(
            "{{\"effect\":\"floor\",{key},\"floor\":{{\"position\":{position},\"taken\":{{\"by\":\"message\",\"identity\":\"{input}\",\"sign-bytes\":\"{}\",\
             \"timestamp\":null}}}}}},{{\"effect\":\"bucket\",\"instance\":\"limit\",\"name\":\"all\",\"arrival-ns\":\"{}\"}},{{\"effect\":\"use\",\"key\":\"{KEY}\"}}",
            hex::encode(&sign_bytes),
            NOW_MS + n,
        );
        let who = format!("\"decision\":\"{n:032x}\",\"request\":\"host-{n}\",\"caller\":\"validator\",\"key\":\"{KEY}\"");
        let digest = "ab".repeat(32);
        let approvals = ["monotonic", "limit", "allow"]
            .map(|name| format!("{{\"instance\":\"{name}\",\"module\":\"{digest}\",\"config\":\"{digest}\",\"fuel\":51234,\"micros\":17}}"))
            .join(",");
        let hashed = format!("{{\"blake3\":\"{input}\",\"bytes\":{}}}", sign_bytes.len());
        let body = format!(
            "{who},\"operation\":\"sign\",\"format\":\"cometbft/vote\",\"scheme\":\"ed25519\",\"backend\":\"vault\",\"payload\":{hashed},\"inputs\":[{hashed}],\
             \"consensus\":{{\"chain-id\":\"chain\",\"class\":\"cometbft\",\"position\":{position}}},\"engine\":\"{digest}\",\"approvals\":[{approvals}]"
        );
        self.line("decision", &effects, &body);
        let (decided, signature) = (self.sequence, "5e".repeat(64));
        let effects = format!("{{\"effect\":\"floor-signature\",{key},\"position\":{position},\"signature\":\"{signature}\"}}");
        let body = format!(
            "\"decision-sequence\":\"{decided}\",{who},\"scheme\":\"ed25519\",\"backend\":\"vault\",\"signatures\":[{{\"bytes\":\"{signature}\"}}],\
             \"micros\":[[\"authenticate\",1],[\"open\",1],[\"authorize\",3],[\"decode\",9],[\"evaluate\",48],[\"approve\",1],[\"commit\",611],[\"sign\",52]]"
        );
        self.line("outcome", &effects, &body);
    }
}
