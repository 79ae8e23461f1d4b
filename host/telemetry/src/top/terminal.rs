//! A terminal: raw while it is drawn upon, and given back as it was. Over rustix, which is here anyway; a library for screens would bring
//! twenty crates for one table.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Alternate screen, cursor hidden; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// What a person pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    Quit,
    Sort,
}

/// The terminal of standard input and output; as it was before when dropped.
pub(super) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// None if input or output is none.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        if !rustix::termios::isatty(input) || !rustix::termios::isatty(output) {
            return Ok(None);
        }
        let before = tcgetattr(input)?;
        let mut raw = before.clone();
        // No lines, no echo, and no signals: Ctrl-C arrives as a byte, so that the terminal is given back.
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        let terminal = Self { before };
        tcsetattr(input, OptionalActions::Now, &raw)?;
        show(ENTER)?;
        Ok(Some(terminal))
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (u16, u16) {
        match tcgetwinsize(rustix::stdio::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        }
    }

    pub(super) fn show(&self, text: &str) -> io::Result<()> {
        show(text)
    }

    /// Waits for a key until then; none if none that means something came.
    pub(super) fn wait(&self, until: Instant) -> io::Result<Option<Pressed>> {
        let input = rustix::stdio::stdin();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut wanted = [PollFd::new(&input, PollFlags::IN)];
            match poll(&mut wanted, Some(&timespec(left))) {
                Ok(0) => return Ok(None),
                // A change of the window's size interrupts: drawn anew.
                Err(rustix::io::Errno::INTR) => return Ok(None),
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            let mut bytes = [0; 32];
            let read = rustix::io::read(input, &mut bytes)?;
            if read == 0 {
                // Readable and empty: the terminal is gone.
                return Ok(Some(Pressed::Quit));
            }
            if let Some(pressed) = bytes.get(..read).and_then(pressed) {
                return Ok(Some(pressed));
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing given back.
        let _ = show(LEAVE);
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

fn show(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// The first byte that means something; a sequence that begins with escape, such as an arrow, means nothing.
fn pressed(bytes: &[u8]) -> Option<Pressed> {
    /// Ctrl-C and Ctrl-D.
    const END: [u8; 2] = [3, 4];
    match bytes {
        [27] => Some(Pressed::Quit),
        [27, ..] => None,
        bytes => bytes.iter().find_map(|byte| match byte {
            b'q' | b'Q' => Some(Pressed::Quit),
            b's' | b'S' => Some(Pressed::Sort),
            byte if END.contains(byte) => Some(Pressed::Quit),
            _ => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        for (bytes, wanted) in [
            (b"q".as_slice(), Some(Pressed::Quit)),
            (b"xs", Some(Pressed::Sort)),
            (b"\x03", Some(Pressed::Quit)),
            (b"\x1b", Some(Pressed::Quit)),
            // An arrow, whose last byte is a letter.
            (b"\x1b[A", None),
            (b"\x1b[1;5S", None),
            (b"xyz", None),
        ] {
            assert_eq!(pressed(bytes), wanted, "{bytes:?}");
        }
    }
}
