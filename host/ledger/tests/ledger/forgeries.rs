//! Logs that say something else, with every hash made anew.

use crate::mutations::Random;
use crate::peer::{Log, with};

/// What is said changed, and every hash made anew: only the meaning can tell.
pub(crate) fn forgery(random: &mut Random, log: &Log) -> (&'static str, Vec<(String, Vec<u8>)>) {
    let mut log = log.clone();
    let mut renumber = false;
    let count = log.lines().len();
    let segment = random.below(log.0.len());
    // A line that has every part, which are told apart by `|`.
    let of = |log: &mut Log, part: &str, random: &mut Random| {
        let mut lines = log.lines();
        let has = |line: &str| part.split('|').all(|part| line.contains(part));
        let having: Vec<usize> = (0..lines.len()).filter(|n| has(lines[*n])).collect();
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
    let by_id = "\"kind\":\"replay\"|own.account";
    let name = match random.below(30) {
        22 => {
            edit(&mut log, random, by_id, &|line| with(line, "payload\":{\"blake3", &"ef".repeat(32)));
            "another payload under a known id"
        }
        23 => {
            edit(&mut log, random, by_id, &|line| with(line, "request", "never-given"));
            "a replay of an id that was never given"
        }
        24 => {
            edit(&mut log, random, "\"effect\":\"request-signed\"", &|line| {
                let at = line.find("\"signatures\":[{\"bytes\":\"").unwrap() + 24;
                let other = if line[at..].starts_with("0f") { "f0" } else { "0f" };
                format!("{}{other}{}", &line[..at], &line[at + 2..])
            });
            "another signature is remembered than was made"
        }
        25 => {
            let lines: Vec<String> = log.lines().iter().map(|line| (**line).clone()).collect();
            let given: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].contains("\"effect\":\"request\",")).collect();
            let chosen = given[random.below(given.len())];
            let next = (chosen + 1..lines.len()).find(|n| lines[*n].contains("\"kind\":\"decision\""));
            let (from, to) = (&lines[chosen], next.unwrap());
            let tag = from.find("\"tag\":\"").unwrap() + 7;
            let forgets = format!(
                "\"effects\":[{{\"effect\":\"request-forgotten\",\"tag\":\"{}\"}},",
                &from[tag..tag + 64]
            );
            *log.lines()[to] = lines[to].replacen("\"effects\":[", &forgets, 1);
            "an id is forgotten too early"
        }
        26 => {
            let lines: Vec<String> = log.lines().iter().map(|line| (**line).clone()).collect();
            let replays: Vec<usize> = (0..lines.len())
                .filter(|n| by_id.split('|').all(|part| lines[*n].contains(part)))
                .collect();
            let chosen = replays[random.below(replays.len())];
            let id = lines[chosen]
                .split("\"request\":\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .to_owned();
            let first = lines
                .iter()
                .find(|line| line.contains("\"kind\":\"decision\"") && line.contains(&format!("\"{id}\"")));
            *log.lines()[chosen] = first.unwrap().clone();
            renumber = true;
            "an id is decided twice"
        }
        27 => {
            edit(&mut log, random, "\"kind\":\"clock\"", &|line| {
                line.replace("\"effects\":[", "\"effects\":[{\"effect\":\"use\",\"key\":\"own.account.v1\"},")
            });
            "a clock that changes something else"
        }
        28 => {
            edit(&mut log, random, "\"kind\":\"refusals\"", &|line| {
                with(line, "count", &(small + 1).to_string())
            });
            "another count of refusals"
        }
        29 => {
            edit(&mut log, random, "\"effect\":\"request\",", &|line| {
                with(line, "at-ms", &(1_700_000_000_000 + small).to_string())
            });
            "another time of an id"
        }
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
