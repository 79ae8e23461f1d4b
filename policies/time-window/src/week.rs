//! When a window is open next.

use crate::Window;
use sigwarden_guest::{DAY_MS, UtcTime};

impl Window {
    /// The first moment at or after `from` when this window is open; `from` itself if it is open then. None only after the end of
    /// the calendar, some 500 million years on.
    pub(crate) fn opening(&self, from: UtcTime) -> Option<UtcTime> {
        let today = from.milliseconds() / DAY_MS * DAY_MS;
        // A window that opened yesterday may last past midnight; in a week every weekday comes, and today's may be over already.
        let days = std::iter::once(today.checked_sub(DAY_MS)).chain((0..=7).map(|day| today.checked_add(day * DAY_MS)));
        days.flatten().find_map(|day| {
            if !self.days.any(|weekday| *weekday == UtcTime::from_milliseconds(day).weekday()) {
                return None;
            }
            let length = match (self.to.milliseconds(), self.from.milliseconds()) {
                (to, from) if to > from => to - from,
                (to, from) => to + DAY_MS - from,
            };
            let opens = day.checked_add(self.from.milliseconds())?;
            let closes = opens.checked_add(length)?;
            (from.milliseconds() < closes).then(|| UtcTime::from_milliseconds(opens).max(from))
        })
    }
}
