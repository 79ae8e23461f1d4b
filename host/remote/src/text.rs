//! Text that a remote wrote, and that goes to a log, a record or a terminal.

/// Characters at most: refusals have up to 600, and a log line is no page.
const MOST: usize = 600;

/// Escapes control characters and marks that turn the direction of writing, and cuts.
pub(crate) fn shown(text: &str) -> String {
    let escaped = |character: char| -> String {
        match character {
            '"' | '\'' | '\\' => character.to_string(),
            other => other.escape_debug().to_string(),
        }
    };
    let mut shown: String = text.chars().take(MOST).map(escaped).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_could_deceive_a_reader_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(shown("a\nb\u{1b}[2J \"Grüße\""), "a\\nb\\u{1b}[2J \"Grüße\"");
        assert_eq!(shown(&"x".repeat(601)).chars().count(), 601);
        assert!(shown(&"x".repeat(601)).ends_with("x…"));
    }
}
