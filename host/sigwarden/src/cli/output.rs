//! What commands print: text for people, JSON for machines, colour only on a terminal, errors on standard error.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Where and how to print.
pub(super) struct Output {
    json: bool,
    colour: bool,
    /// Standard output did not take everything.
    lost: std::sync::atomic::AtomicBool,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    text: String,
    /// Printed already, in full.
    said: bool,
}

impl Failure {
    /// It was refused, or something is wrong with what was looked at: exit code 1.
    pub(super) fn no(text: impl Into<String>) -> Self {
        Self {
            code: 1,
            text: text.into(),
            said: false,
        }
    }

    /// As [`Failure::no`], after the command has printed it.
    pub(super) fn said_no() -> Self {
        Self {
            code: 1,
            text: String::new(),
            said: true,
        }
    }

    /// The exit code of a command that has printed what there is to say; none if it is 0.
    pub(super) fn said(code: u8) -> Result<(), Self> {
        let text = String::new();
        match code {
            0 => Ok(()),
            code => Err(Self { code, text, said: true }),
        }
    }

    /// It could not be tried: exit code 2.
    pub(super) fn cannot(text: impl Into<String>) -> Self {
        Self {
            code: 2,
            text: text.into(),
            said: false,
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let inner_text = inner.to_string();
            // Many errors quote their source already.
            if !text.contains(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            source = inner.source();
        }
        Self::cannot(text)
    }
}

impl Failure {
    /// A command that did nothing.
    pub(super) fn of(not_done: crate::admin::NotDone) -> Self {
        match not_done.refused {
            true => Self::no(not_done.text),
            false => Self::cannot(not_done.text),
        }
    }
}

/// Styles, by what they mean.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    Good,
    Warning,
    Bad,
    Faint,
    Strong,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colour,
            lost: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Prints `value` as JSON, or what `human` makes of it.
    pub(super) fn print(&self, value: &serde_json::Value, human: impl FnOnce() -> String) {
        let text = if self.json { value.to_string() } else { human() };
        self.line(text.trim_end());
    }

    /// Whether there are colours.
    pub(super) fn is_coloured(&self) -> bool {
        self.colour
    }

    /// Whether output is for machines.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One line on standard output. A closed pipe (`| head`) is the reader's wish, not an error.
    pub(super) fn line(&self, text: &str) {
        match writeln!(std::io::stdout().lock(), "{text}") {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                let _ = writeln!(std::io::stderr().lock(), "error: standard output: {error}");
                self.lost.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    /// Whether something that was to be printed could not be.
    pub(super) fn lost(&self) -> bool {
        self.lost.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Progress and hints, on standard error; nothing with `--json`.
    pub(super) fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// The text in a style, on a terminal.
    pub(super) fn style(&self, style: Style, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match style {
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
            Style::Faint => "2",
            Style::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Says why, and gives the exit code.
    pub(super) fn fail(&self, failure: &Failure) -> ExitCode {
        if !failure.said {
            let text = if self.json {
                serde_json::json!({ "error": failure.text }).to_string()
            } else {
                format!("error: {}", failure.text)
            };
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
        ExitCode::from(failure.code)
    }
}

/// Columns, aligned, two spaces between them.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| visible(cell))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(visible(cell)) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Characters of a cell without its colour codes.
fn visible(cell: &str) -> usize {
    let mut count = 0;
    let mut in_code = false;
    for character in cell.chars() {
        match character {
            '\u{1b}' => in_code = true,
            'm' if in_code => in_code = false,
            _ if !in_code => count += 1,
            _ => {}
        }
    }
    count
}

/// A moment as UTC, to the second.
pub(super) fn time(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| format!("{ms} ms"), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_the_colours() {
        let rows = vec![
            vec!["\u{1b}[32mok\u{1b}[0m".to_owned(), "a".to_owned()],
            vec!["refuse".to_owned(), "b".to_owned()],
        ];
        assert_eq!(table(&rows), "\u{1b}[32mok\u{1b}[0m      a\nrefuse  b\n");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_700_000_000_000), "2023-11-14 22:13:20 UTC");
    }
}
