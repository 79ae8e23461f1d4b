//! Text that somebody else wrote, and that goes to a terminal or a log.

/// What does not print becomes U+FFFD: control characters could move a cursor, other marks turn the direction of writing.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|character| if prints(character) { character } else { '\u{fffd}' })
        .collect()
}

/// Whether it prints. Combining marks and the like are taken for what does not.
pub(crate) fn prints(character: char) -> bool {
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_could_deceive_a_reader_is_replaced() {
        assert_eq!(
            shown("a\nb\u{1b}[2J\u{202e}c \"Grüße\" 'x' \\"),
            "a\u{fffd}b\u{fffd}[2J\u{fffd}c \"Grüße\" 'x' \\"
        );
    }
}
