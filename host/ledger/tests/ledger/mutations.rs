//! Two verifiers that share no code, and a thousand logs that were tampered with: they agree on which hold, and on the first bad line of
//! those that do not.

use crate::disks::QuickDisk;
use crate::peer::{Log, ask, with, write};
use crate::recovery::segments;
use crate::world::{Rule, World, administer, floor_key};
use sigwarden_core::KeyState;
use sigwarden_core::floor::{Floor, Position, Taken};
use sigwarden_core::state::Effect;
use sigwarden_ledger::{AdminKind, ExportError, VerifyError, export, verify};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MUTATIONS: u64 = 1000;

/// `SplitMix64`: seeded, so that a failure names its seed and comes again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// A real log: votes, retries, precommits with extensions, messages, denials, floor and key changes, four segments, no torn end.
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
        let denied = (0..4).filter(|n| world.message(&[10 + n]).is_err()).count();
        assert_eq!(denied, if part == 1 { 2 } else { 0 });
        let floor = Floor {
            position: Position::end_of_height(height + 1),
            taken: Taken::Operator,
        };
        administer(&world.ledger, AdminKind::Floor, vec![Effect::Floor { key: floor_key(), floor }]);
        let key = "own.account.v1".parse().unwrap();
        let state = if part == 2 { KeyState::Suspended } else { KeyState::Active };
        administer(&world.ledger, AdminKind::Lifecycle, vec![Effect::KeyState { key, state }]);
        world.ledger.close().unwrap();
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

/// What is said changed, and every hash made anew: only the meaning can tell.
fn forgery(random: &mut Random, log: &Log) -> (&'static str, Vec<(String, Vec<u8>)>) {
    let mut log = log.clone();
    let mut renumber = false;
    let count = log.lines().len();
    let segment = random.below(log.0.len());
    let of = |log: &mut Log, part: &str, random: &mut Random| {
        let mut lines = log.lines();
        let having: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].contains(part)).collect();
        let chosen = having[random.below(having.len())];
        std::mem::take(lines[chosen])
    };
    // Puts a line back where `of` left none.
    let back = |log: &mut Log, line: String| {
        *log.lines().into_iter().find(|line| line.is_empty()).unwrap() = line;
    };
    let edit = |log: &mut Log, random: &mut Random, part: &str, change: &dyn Fn(&str) -> String| {
        let line = of(log, part, random);
        back(log, change(&line));
    };
    let small = random.next() % 40;
    let name = match random.below(22) {
        0 => {
            edit(&mut log, random, "\"effect\":\"floor\",", &|line| {
                let at = line.find("\"position\":[\"").unwrap() + 13;
                let end = at + line[at..].find('"').unwrap();
                format!("{}{small}{}", &line[..at], &line[end..])
            });
            "a floor's height"
        }
        1 => {
            edit(&mut log, random, "\"effect\":\"floor\",", &|line| {
                let parts: Vec<&str> = line.split("\"position\":[\"").collect();
                let rest = parts[1..]
                    .iter()
                    .map(|part| format!("\"position\":[\"{small}{}", &part[part.find('"').unwrap()..]));
                parts[0].to_owned() + &rest.collect::<String>()
            });
            "a floor's height, and its decision's"
        }
        2 => {
            edit(&mut log, random, "\"kind\":\"floor\"", &|line| {
                with(line, "position", "").replace("\"position\":[\"\"", "\"position\":[\"0\"")
            });
            "an operator's floor"
        }
        3 => {
            edit(&mut log, random, "\"sign-bytes\"", &|line| with(line, "sign-bytes", "00ff"));
            "other sign bytes"
        }
        4 => {
            edit(&mut log, random, "\"identity\"", &|line| with(line, "identity", &"ab".repeat(32)));
            "another identity"
        }
        5 => {
            edit(&mut log, random, "\"effect\":\"use\",\"key\":\"cosmos", &|line| {
                line.replace("{\"effect\":\"use\",\"key\":\"cosmos", "{\"effect\":\"use\",\"key\":\"other")
            });
            "another key's use"
        }
        6 => {
            edit(&mut log, random, "\"effects\":", &|line| {
                let (begin, end) = (line.find("\"effects\":").unwrap(), line.find("\"body\":").unwrap());
                format!("{}{}", &line[..begin], &line[end..])
            });
            "no effects"
        }
        7 => {
            edit(&mut log, random, "\"kind\":\"decision\"", &|line| with(line, "kind", "replay"));
            "a decision as a replay"
        }
        8 => {
            edit(&mut log, random, "\"kind\":\"replay\"", &|line| with(line, "kind", "decision"));
            "a replay as a decision"
        }
        9 => {
            edit(&mut log, random, "\"signatures\":[{\"bytes\"", &|line| {
                let at = line.find("\"signatures\":[{\"bytes\":\"").unwrap() + 24;
                format!("{}{}{}", &line[..at], "0f", &line[at + 2..])
            });
            "another signature"
        }
        10 => {
            edit(&mut log, random, "\"decision-sequence\"", &|line| {
                with(line, "decision-sequence", &small.to_string())
            });
            "an outcome of another decision"
        }
        11 => {
            edit(&mut log, random, "\"effect\":\"watermark\"", &|line| {
                let at = line.find("\"watermark\":{\"position\":[\"").unwrap() + 26;
                let end = at + line[at..].find('"').unwrap();
                format!("{}{}{}", &line[..at], small % 6, &line[end..])
            });
            "a watermark"
        }
        12 => {
            let line = of(&mut log, "{", random);
            for frame in log.0.iter_mut().flat_map(|segment| &mut segment.frames) {
                frame.retain(|line| !line.is_empty());
            }
            renumber = random.below(2) == 0;
            assert!(!line.is_empty());
            "a record is gone"
        }
        13 => {
            let (one, other) = (random.below(count), random.below(count));
            let mut lines = log.lines();
            let saved = lines[one].clone();
            *lines[one] = std::mem::replace(lines[other], saved);
            renumber = random.below(4) > 0;
            "two records are swapped"
        }
        14 => {
            let frames = &mut log.0[segment].frames;
            let frame = frames[random.below(frames.len())].clone();
            frames.push(frame);
            renumber = random.below(4) > 0;
            "a frame again"
        }
        15 => {
            edit(&mut log, random, "\"body\":{", &|line| {
                line.replacen("\"body\":{", "\"body\":{\"unheard\":\"of\",", 1)
            });
            "a field that is not known"
        }
        16 => {
            log.0[segment].header = with(&log.0[segment].header, "generation", &(small % 3).to_string());
            "a segment's generation"
        }
        17 => {
            for part in &mut log.0[segment..] {
                part.header = part.header.replace("\"generation\":\"1\"", "\"generation\":\"2\"");
                for line in part.frames.iter_mut().flatten().filter(|line| line.contains("\"kind\":\"start\"")) {
                    *line = with(line, "generation", "2");
                }
            }
            "another life, as an adoption begins it"
        }
        18 => {
            log.0[segment].header = log.0[segment].header.replace("\"format\":1", "\"format\":2");
            "a newer format"
        }
        19 => {
            edit(&mut log, random, "\"time\"", &|line| {
                with(line, "time", &(small * 1_000_000).to_string())
            });
            "another time"
        }
        20 => {
            let frames = &mut log.0[segment].frames;
            let at = random.below(frames.len());
            frames.truncate(at + 1);
            log.0.truncate(segment + 1);
            "an older log"
        }
        _ => {
            edit(&mut log, random, "\"hash\"", &|line| with(line, "hash", &"cd".repeat(32)));
            "another extension"
        }
    };
    (name, log.files(renumber))
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
    ] {
        assert!(tally[name].0 == 0 && tally[name].1 > 0, "{name}: {:?}", tally[name]);
    }
    for name in ["another time", "another life, as an adoption begins it", "an older log"] {
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
