//! Pauses between attempts: doubled up to a cap, with jitter, so that many fronts do not come back to a remote in step.

use std::time::Duration;

pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The next pause: between half of the step and all of it.
    pub(crate) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.most);
        // Without randomness the whole step is as good a pause.
        let share = getrandom::u32().map_or(1.0, |random| 0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0);
        step.mul_f64(share)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_stay_within_half_of_the_step() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(350));
        for step in [100, 200, 350, 350] {
            let pause = backoff.pause();
            assert!(pause >= ms(step / 2) && pause <= ms(step), "{pause:?} of {step}");
        }
        backoff.reset();
        assert!(backoff.pause() <= ms(100));
    }
}
