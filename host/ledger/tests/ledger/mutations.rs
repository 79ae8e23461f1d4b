//! Two verifiers that share no code, and a thousand logs that were tampered with: they agree on which hold, and on the first bad line of
//! those that do not.

use crate::disks::QuickDisk;
use crate::forgeries::forgery;
use crate::peer::{Log, ask, write};
use crate::recovery::segments;
use crate::world::{ACCOUNT, Rule, World, administer, floor_key};
use sigwarden_core::floor::{Floor, Position, Taken};
use sigwarden_core::request_id::KEPT_MS;
use sigwarden_core::state::Effect;
use sigwarden_core::{Format, KeyState};
use sigwarden_ledger::{AdminKind, ExportError, VerifyError, export, verify};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const MUTATIONS: u64 = 1000;

/// `SplitMix64`: seeded, so that a failure names its seed and comes again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// Requests with ids: repeated with their recorded signature, without one, below the floor; refused, and too many of these to be recorded
/// one by one. A clock that an operator accepts.
fn with_ids(world: &World, part: u64) {
    let id = |name: &str| format!("{name}-{part}");
    world.message_as(&id("paid"), b"pay").unwrap();
    assert!(world.message_as(&id("paid"), b"pay").unwrap().replay);
    world.message_as(&id("paid"), b"pay more").unwrap_err();
    world.without_backend(|| world.message_as(&id("late"), b"late").unwrap_err());
    assert!(world.message_as(&id("late"), b"late").unwrap().replay);
    let height = 10 * part + 9;
    let voted = world.vote_as(&id("vote"), height, 100, "a").unwrap();
    world.vote_as(&id("next"), height + 1, 100, "a+one").unwrap();
    assert_eq!(
        world.vote_as(&id("vote"), height, 100, "a").unwrap().signatures,
        voted.signatures,
        "below the floor"
    );
    let now_ms = world.clock.load(Ordering::SeqCst);
    administer(&world.ledger, AdminKind::Clock, vec![Effect::ClockAccepted { now_ms }]);
    for _ in 0..25 {
        world.send(2, ACCOUNT, Format::RawMessageNone, vec![1], "").unwrap_err();
    }
}

/// A real log: votes, retries, precommits with extensions, messages, denials, request ids, floor and key changes, a crash, no torn end.
fn real_log(dir: &Path) -> Log {
    for (part, rule) in [Rule::Allow, Rule::Raise, Rule::Count].into_iter().enumerate() {
        let disk = Arc::new(QuickDisk::default());
        let world = match part {
            0 => World::create(disk, dir, rule),
            _ => World::open(disk, dir, rule).unwrap(),
        };
        for n in 0..4_u64 {
            let height = 10 * part as u64 + n + 2;
            world.vote(height, 100, "a").unwrap();
            // A retry, before or after the first one's signature is durable.
            assert!(world.vote(height, 200, "a").unwrap().replay);
            world.vote(height, 100, "b").unwrap_err();
            world.message(&[u8::try_from(n).unwrap()]).unwrap();
        }
        let height = 10 * part as u64 + 7;
        world.vote(height, 100, "a+one").unwrap();
        // Another extension beside the same precommit.
        world.vote(height, 100, "a+two").unwrap();
        if part == 2 {
            // What the first part's ids stood for is forgotten.
            world.pass(KEPT_MS);
        }
        if part != 1 {
            with_ids(&world, part as u64);
        }
        let denied = (0..4).filter(|n| world.message(&[10 + n]).is_err()).count();
        assert_eq!(denied, if part == 1 { 2 } else { 0 });
        let floor = Floor {
            position: Position::end_of_height(height + 4),
            taken: Taken::Operator,
        };
        administer(&world.ledger, AdminKind::Floor, vec![Effect::Floor { key: floor_key(), floor }]);
        let key = "own.account.v1".parse().unwrap();
        let state = if part == 2 { KeyState::Suspended } else { KeyState::Active };
        administer(
            &world.ledger,
            AdminKind::Lifecycle,
            vec![Effect::KeyState { key, state, grace: None }],
        );
        world.ledger.close().unwrap();
        drop(world);
        if part == 0 {
            // Decided, and then the power goes: nobody knows what came of it.
            let world = World::open(Arc::new(QuickDisk::default()), dir, rule).unwrap();
            world.message_as("cut", b"cut").unwrap();
            drop(world);
            let world = World::open(Arc::new(QuickDisk::default()), dir, rule).unwrap();
            assert!(world.message_as("cut", b"cut").unwrap().replay);
            world.ledger.close().unwrap();
        }
    }
    Log::read(&segments(dir))
}

/// Whole files changed as bytes, no hash made anew.
fn damage(random: &mut Random, log: &Log, other: &Log) -> (&'static str, Vec<(String, Vec<u8>)>) {
    let mut files = log.files(false);
    let count = files.len();
    let chosen = random.below(count);
    let bytes = &mut files[chosen].1;
    let at = random.below(bytes.len());
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    let line = |n: usize| if n == 0 { 0..ends[0] } else { ends[n - 1]..ends[n] };
    let is_end = |n: usize| bytes[line(n)].starts_with(b"{\"frame\"");
    let frames: Vec<_> = (0..ends.len()).filter(|n| is_end(*n)).map(|n| ends[n]).collect();
    let name = match random.below(20) {
        0..=3 => {
            bytes[at] ^= 1 << random.below(8);
            "a bit is flipped"
        }
        4 => {
            bytes.remove(at);
            "a byte is gone"
        }
        5 => {
            bytes.insert(at, u8::try_from(random.below(256)).unwrap());
            "a byte is new"
        }
        6 => {
            let first = random.below(ends.len() - 1);
            let (a, b) = (bytes[line(first)].to_vec(), bytes[line(first + 1)].to_vec());
            let begin = line(first).start;
            bytes.splice(begin..begin + a.len() + b.len(), [b, a].concat());
            "two lines are swapped"
        }
        7 | 8 => {
            let frame = random.below(frames.len());
            let begin = if frame == 0 { 0 } else { frames[frame - 1] };
            bytes.drain(begin..frames[frame]);
            "a frame is gone"
        }
        9 => {
            bytes.truncate(at);
            "cut anywhere"
        }
        10 => {
            bytes.truncate(ends[random.below(ends.len())]);
            "cut after a line"
        }
        11 => {
            bytes.truncate(frames[random.below(frames.len())] - random.below(3));
            "cut at the end of a frame"
        }
        12 => {
            let end = (at + random.below(5000)).min(bytes.len());
            bytes[at..end].fill(0);
            "zeros"
        }
        13 => {
            let zeros = random.below(9000);
            bytes.extend(std::iter::repeat_n(0, zeros));
            if random.below(2) == 0 {
                bytes.extend_from_slice(b"{\"sequence\":");
            }
            "zeros behind it"
        }
        14 => {
            let (begin, end) = (frames[frames.len() - 2], frames[frames.len() - 1]);
            let again = bytes[begin..end].to_vec();
            bytes.extend(again);
            "the last frame twice"
        }
        15 => {
            let with = (chosen + 1) % count;
            let swapped = files[with].1.clone();
            let own = std::mem::replace(&mut files[chosen].1, swapped);
            files[with].1 = own;
            "two segments are swapped"
        }
        16 => {
            let number: u64 = files[chosen].0[..20].parse().unwrap();
            files[chosen].0 = format!("{:020}.jsonl", number + 1 + random.next() % 3);
            files.sort();
            files.dedup_by(|a, b| a.0 == b.0);
            "a segment is renamed"
        }
        17 => {
            files.remove(chosen);
            "a segment is gone"
        }
        18 => {
            let foreign = other.files(false);
            files[chosen].1.clone_from(&foreign[chosen % foreign.len()].1);
            "a segment of another deployment"
        }
        _ => {
            let line = line(random.below(ends.len()));
            let digits: Vec<usize> = line.filter(|at| bytes[*at].is_ascii_digit()).collect();
            bytes[digits[random.below(digits.len())]] = b'0' + u8::try_from(random.below(10)).unwrap();
            "another digit"
        }
    };
    (name, files)
}

/// What a verifier found, as far as two can be compared: the file, line and byte of the first bad line, or what holds.
type Found = Result<(u64, u64, String, u64), (String, u64, u64)>;

fn ours(dir: &Path) -> (Found, String) {
    match verify(dir, &mut |_, _| {}) {
        Ok(found) => (
            Ok((found.records, found.last_sequence, hex::encode(found.head), found.unfinished_bytes)),
            "it holds".to_owned(),
        ),
        Err(VerifyError::Bad { file, offset, line, what }) => (Err((file.display().to_string(), line, offset)), what),
        Err(other) => panic!("{}: {other}", dir.display()),
    }
}

fn theirs(found: &serde_json::Value) -> Found {
    let number = |name: &str| found[name].as_u64().unwrap_or_else(|| panic!("{found}"));
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    if found["holds"] == true {
        Ok((number("records"), number("last_sequence"), text("head"), number("unfinished_bytes")))
    } else {
        Err((text("file"), number("line"), number("offset")))
    }
}

#[test]
fn an_outside_witness_agrees_on_a_thousand_logs() {
    let home = tempfile::tempdir().unwrap();
    let log = real_log(&home.path().join("own"));
    let other = real_log(&home.path().join("other"));
    let unchanged = home.path().join("unchanged");
    write(&unchanged, &log.files(true));
    for path in segments(&home.path().join("own")) {
        let again = std::fs::read(unchanged.join("log").join(path.file_name().unwrap())).unwrap();
        assert_eq!(again, std::fs::read(&path).unwrap(), "taken apart and put together it is the same");
    }
    let mut dirs = vec![home.path().join("own"), unchanged];
    let mut names = vec!["as written", "put together"];
    for seed in 0..MUTATIONS {
        let mut random = Random(seed);
        let (name, files) = if seed % 5 < 3 {
            damage(&mut random, &log, &other)
        } else {
            forgery(&mut random, &log)
        };
        let dir: PathBuf = home.path().join(seed.to_string());
        if files.is_empty() {
            continue;
        }
        write(&dir, &files);
        dirs.push(dir);
        names.push(name);
    }
    let answers = ask(&dirs);
    let mut tally: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut disagreements = Vec::new();
    for ((dir, name), answer) in dirs.iter().zip(&names).zip(&answers) {
        let (own, what) = ours(dir);
        if own != theirs(answer) {
            disagreements.push(format!("{} ({name})\n  ours:   {own:?} {what}\n  theirs: {answer}", dir.display()));
        }
        let counted = tally.entry(name).or_default();
        if own.is_ok() { counted.0 += 1 } else { counted.1 += 1 }
    }
    assert!(
        disagreements.is_empty(),
        "{} disagreements\n{}",
        disagreements.len(),
        disagreements[..disagreements.len().min(12)].join("\n")
    );
    assert_eq!((tally["as written"], tally["put together"]), ((1, 0), (1, 0)));
    println!("held and did not hold, by what was done: {tally:#?}");
    // What must never pass, and what must: else two blind witnesses would agree.
    for name in [
        "other sign bytes",
        "another key's use",
        "a decision as a replay",
        "a replay as a decision",
        "a field that is not known",
        "a newer format",
        "another payload under a known id",
        "a replay of an id that was never given",
        "another signature is remembered than was made",
        "an id is forgotten too early",
        "an id is decided twice",
        "a clock that changes something else",
    ] {
        assert!(tally[name].0 == 0 && tally[name].1 > 0, "{name}: {:?}", tally[name]);
    }
    for name in [
        "another life, as an adoption begins it",
        "an older log",
        "another count of refusals",
    ] {
        assert!(tally[name].0 > 0 && tally[name].1 == 0, "{name}: {:?}", tally[name]);
    }
}

#[test]
fn what_is_exported_from_any_record_on_holds_for_the_witness_and_is_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("own");
    real_log(&dir);
    let whole = verify(&dir, &mut |_, _| {}).unwrap();
    let mut dirs = Vec::new();
    let mut firsts = std::collections::BTreeSet::new();
    for since in 1..=whole.last_sequence {
        let to = home.path().join(format!("from-{since}"));
        let exported = export(&dir, since, &to, &mut |_, _| {}).unwrap();
        assert!(exported.first <= since && exported.last == whole.last_sequence && exported.head == whole.head);
        firsts.insert(exported.first);
        dirs.push(to);
    }
    assert_eq!(firsts.len() as u64, whole.segments);
    let floors = |found: &serde_json::Value| found["floors"].clone();
    let all = ask(std::slice::from_ref(&dir)).remove(0);
    assert_eq!(floors(&all).as_array().unwrap().len(), 2);
    for answer in ask(&dirs) {
        assert_eq!((&answer["holds"], floors(&answer)), (&true.into(), floors(&all)), "{answer}");
    }
    let again = export(&dir, 1, &dirs[0], &mut |_, _| {});
    assert!(matches!(again, Err(ExportError::Write { .. })), "{again:?}");
    let beyond = export(&dir, whole.last_sequence + 1, &home.path().join("beyond"), &mut |_, _| {});
    assert!(matches!(beyond, Err(ExportError::NoRecord { .. })) && !home.path().join("beyond").exists());

    // With a floor that is higher at its beginning, what it tells are votes below the floor.
    let manifest = dirs.last().unwrap().join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for floor in value["export"]["state"]["floors"].as_array_mut().unwrap() {
        floor["floor"]["position"][0] = "1000".into();
    }
    std::fs::write(&manifest, value.to_string()).unwrap();
    assert_eq!(ask(&dirs[dirs.len() - 1..]).remove(0)["holds"], false);
}
