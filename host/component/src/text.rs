//! Text that a module's author wrote, made safe to show.

/// Escapes what could move a terminal's cursor, break a line or reorder what is read: control characters, line and paragraph
/// separators, bidirectional controls, zero-width marks. Cuts after `most` characters and says so with an ellipsis.
pub(crate) fn escape(text: &str, most: usize) -> String {
    let mut escaped = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == most {
            escaped.push('…');
            break;
        }
        if hides(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn hides(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{061c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_could_deceive_a_reader_is_escaped_and_cut() {
        assert_eq!(escape("a\nb\u{1b}[2J\u{202e}c", 100), "a\\u{a}b\\u{1b}[2J\\u{202e}c");
        assert_eq!(escape("Grüße", 3), "Grü…");
        assert_eq!(escape("abc", 3), "abc");
    }
}
