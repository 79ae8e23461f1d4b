//! Lines as we write them, read in one pass. What is spelled otherwise (another order of fields, a space, an escape where none is
//! needed) is none here, and may be a record all the same: then [`Line`](super::Line) and the like decide, which look at everything. What
//! is one here is the same record there; the tests hold both against each other.

use super::Kind;
use super::effects::Written as WrittenEffect;
use sigwarden_core::state::Effect;
use sigwarden_core::wire;

/// A line whose head and effects were read.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) sequence: u64,
    pub(crate) kind: Kind,
    pub(crate) time: u64,
    pub(crate) previous: [u8; 32],
    pub(crate) effects: Vec<Effect>,
    /// What is where the body is: not looked at yet, and maybe no JSON at all.
    pub(crate) body: &'a str,
}

/// The text up to the next quote, behind what must be before it.
pub(crate) fn text<'a>(rest: &mut &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    let begun = rest.strip_prefix(before)?;
    let (text, after) = begun.split_at(begun.iter().position(|byte| *byte == b'"')?);
    *rest = after;
    Some(text)
}

/// An integer without sign and leading zeros.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let plain = text.iter().all(u8::is_ascii_digit) && (!text.starts_with(b"0") || text.len() == 1);
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}

/// Thirty-two bytes as hex.
pub(crate) fn hash(text: &[u8]) -> Option<[u8; 32]> {
    wire::unhex_array(std::str::from_utf8(text).ok()?).ok()
}

impl<'a> Written<'a> {
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        let rest = &mut line.as_bytes();
        let sequence = number(text(rest, b"{\"sequence\":\"")?)?;
        let kind = Kind::named(text(rest, b"\",\"kind\":\"")?)?;
        let time = number(text(rest, b"\",\"time\":\"")?)?;
        let previous = hash(text(rest, b"\",\"previous\":\"")?)?;
        let rest = line.get(line.len() - rest.len()..)?;
        let (effects, rest) = match rest.strip_prefix("\",\"effects\":") {
            Some(rest) => {
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Vec<WrittenEffect>>();
                let effects = values.next()?.ok()?;
                let rest = rest.get(values.byte_offset()..)?;
                (effects, rest.strip_prefix(",\"body\":")?)
            }
            None => (Vec::new(), rest.strip_prefix("\",\"body\":")?),
        };
        Some(Self {
            sequence,
            kind,
            time,
            previous,
            effects: effects.into_iter().map(|WrittenEffect(effect)| effect).collect(),
            body: rest.strip_suffix('}')?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::{Line, Record};
    use super::*;
    use crate::testing;

    fn line(kind: Kind, effects: &[Effect], body: &str) -> String {
        let effects = match effects {
            [] => String::new(),
            some => format!("\"effects\":{},", serde_json::to_string(some).unwrap()),
        };
        let (kind, previous) = (kind.name(), "5e".repeat(32));
        format!(
            "{{\"sequence\":\"10\",\"kind\":\"{kind}\",\"time\":\"1700000000000000000\",\"previous\":\"{previous}\",{effects}\"body\":{body}}}"
        )
    }

    /// One of each kind of body that there is.
    fn lines() -> Vec<String> {
        let who = "\"decision\":\"00000000000000000000000000000001\",\"request\":\"r\\n\",\"caller\":\"node\",\"key\":\"a.b.v1\"";
        let hashed = format!("{{\"blake3\":\"{}\",\"bytes\":110}}", "00".repeat(32));
        let decision = format!(
            "{{{who},\"operation\":\"sign\",\"format\":\"cometbft/vote\",\"scheme\":\"ed25519\",\"backend\":\"vault\",\"payload\":{hashed},\
             \"inputs\":[{hashed}],\"consensus\":{{\"chain-id\":\"chain\",\"class\":\"cometbft\",\"position\":[\"5\",\"0\",\"3\"]}},\"engine\":\"e\",\
             \"approvals\":[{{\"instance\":\"i\",\"module\":\"m\",\"config\":\"c\",\"fuel\":5,\"micros\":1,\"note\":\"n\"}}]}}"
        );
        let outcome = format!(
            "{{\"decision-sequence\":\"9\",{who},\"scheme\":\"ed25519\",\"backend\":\"vault\",\"signatures\":[{{\"bytes\":\"5e5e\"}}],\
             \"micros\":[[\"authenticate\",1],[\"sign\",5]]}}"
        );
        let refusal = "{\"code\":\"floor/conflict\",\"message\":\"no\",\"stage\":\"commit\",\"uid\":5,\"operation\":\"sign\",\"key\":\"a.b\",\
                       \"format\":\"cometbft/vote\",\"micros\":[]}";
        let started = "{\"deployment\":\"00\",\"generation\":\"1\",\"version\":\"0.1.0\",\"cut-bytes\":\"0\",\"rebuilt\":false}";
        let all = testing::one_of_each();
        let administration = "{\"operator\":\"o\",\"reason\":\"\\u00e4\"}";
        vec![
            line(Kind::Decision, &all[1..all.len() - 1], &decision),
            line(Kind::Outcome, &testing::of_requests(), &outcome),
            line(Kind::Refusal, &[], refusal),
            line(Kind::Start, &[], started),
            line(Kind::Refusals, &[], "{\"caller\":\"c\",\"count\":\"5\"}"),
            line(Kind::PublicKey, &all[..1], administration),
            line(Kind::Floor, &all[3..4], administration),
        ]
    }

    #[test]
    fn what_we_write_is_read_in_one_pass_and_as_ever() {
        for line in lines() {
            let any = Record::parse_any(&line).unwrap();
            let slow = any.kind == Kind::PublicKey;
            // Effects of administration are few; they are left to core's own reading.
            match Record::parse_written(&line) {
                Some(written) => assert_eq!(written, any),
                None => assert!(slow, "{line}"),
            }
            assert_eq!(Record::parse(&line).unwrap(), any);
        }
    }

    #[test]
    fn whatever_is_changed_in_a_line_both_readings_agree() {
        // What changes nothing, changes the meaning, or breaks it.
        let pieces = [
            "", " ", "\"", "}", "{", "0", "00", ",", "\\u0061", "\\n", "[", "null", "x", "-", "1e2", "\u{e4}", "\0",
        ];
        let (mut agreed, mut written) = (0, 0);
        for line in lines() {
            for at in (0..line.len()).filter(|at| line.is_char_boundary(*at) && line.is_char_boundary(at + 1)) {
                for piece in pieces {
                    for end in [at, at + 1] {
                        let changed = format!("{}{piece}{}", &line[..at], &line[end..]);
                        let any = Record::parse_any(&changed).ok();
                        if let Some(record) = Record::parse_written(&changed) {
                            assert_eq!(Some(record), any, "{changed}");
                            written += 1;
                        }
                        agreed += usize::from(any.is_some());
                    }
                }
            }
        }
        assert!(written > 1000 && agreed > written, "{written} of {agreed} were read in one pass");
    }

    #[test]
    fn fields_twice_elsewhere_or_unknown_are_not_read_in_one_pass() {
        let line = &lines()[0];
        let others = [
            line.replace(
                "\"effect\":\"use\",\"key\":\"cosmos.validator.v1\"",
                "\"key\":\"cosmos.validator.v1\",\"effect\":\"use\"",
            ),
            line.replace("\"effect\":\"use\"", "\"effect\":\"use\",\"effect\":\"use\""),
            line.replace("\"effect\":\"use\"", "\"effect\":\"use\",\"more\":0"),
            line.replace("\"by\":\"message\"", "\"by\":\"message\",\"by\":\"message\""),
            line.replace("\"sequence\":\"10\"", "\"sequence\":\"010\""),
            line.replace("\"body\":{", "\"body\": {"),
            format!("{line} "),
        ];
        for other in others {
            assert_ne!(other, *line);
            let read = Record::parse_written(&other);
            assert!(read.is_none() || other.contains("\"body\": "), "{other}");
            assert_eq!(
                Record::parse(&other).is_ok(),
                Line::parse(other.as_bytes()).is_ok_and(|line| line.effects().is_ok())
            );
        }
    }
}
