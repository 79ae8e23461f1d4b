//! W3C trace context: the `traceparent` that a client sends along, so that its trace goes on here.

use std::cell::Cell;

/// Whose trace a request belongs to: `00-<trace id>-<parent span's id>-<flags>` (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) sampled: bool,
}

impl TraceParent {
    /// Reads the header. None if it is no valid one: the request then begins a trace of its own, as the recommendation wants it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Version 00 is exactly that long; a later one may go on after another dash.
        let mut parts = text.splitn(5, '-');
        let [version] = hex(parts.next()?)?;
        let trace_id = hex(parts.next()?)?;
        let span_id = hex(parts.next()?)?;
        let [flags] = hex(parts.next()?)?;
        let goes_on = parts.next().is_some();
        if version == 0xff || (version == 0 && goes_on) || trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

/// Lower-case hex only, as the recommendation says.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes();
    if pairs.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(pairs.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

thread_local! {
    static CURRENT: Cell<Option<TraceParent>> = const { Cell::new(None) };
}

/// Gives back what was there before, whatever happens.
struct Before(Option<TraceParent>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs a request under its client's trace. The pipeline is synchronous: what it appends to the ledger comes from this thread.
pub fn under<T>(parent: Option<TraceParent>, run: impl FnOnce() -> T) -> T {
    let _before = Before(CURRENT.replace(parent));
    run()
}

pub(super) fn current() -> Option<TraceParent> {
    CURRENT.get()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The examples of W3C Trace Context, sections 3.2.2 and 3.2.4.
    #[test]
    fn the_recommendations_examples_are_read() {
        let parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(u128::from_be_bytes(parent.trace_id), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(u64::from_be_bytes(parent.span_id), 0x00f0_67aa_0ba9_02b7);
        assert!(parent.sampled);
        let parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        assert!(!parent.sampled);
        // A version to come, which says more.
        assert!(TraceParent::parse("cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like").is_some());
    }

    #[test]
    fn what_is_none_is_ignored() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e47é6-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_parent_is_there_for_its_request_only() {
        let parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(under(parent, current), parent);
        assert_eq!(under(parent, || under(None, current)), None);
        assert_eq!(current(), None);
    }
}
