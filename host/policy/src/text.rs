//! Text that a guest wrote, made safe to show.

/// Escapes what could move a terminal's cursor, break a line or reorder what is read: control characters, line and paragraph
/// separators, bidirectional controls, zero-width marks. Cuts at `most` bytes, at a character, and says so with an ellipsis.
pub(crate) fn escape(text: &str, most: usize) -> String {
    const ELLIPSIS: char = '…';
    let mut escaped = String::with_capacity(text.len().min(most));
    // Where a cut may be made so that the ellipsis still fits.
    let mut cut = 0;
    for character in text.chars() {
        let before = escaped.len();
        if hides(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
        if escaped.len() > most {
            escaped.truncate(cut);
            if cut + ELLIPSIS.len_utf8() <= most {
                escaped.push(ELLIPSIS);
            }
            return escaped;
        }
        if before + ELLIPSIS.len_utf8() <= most {
            cut = before;
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
    fn what_could_deceive_a_reader_is_escaped() {
        assert_eq!(escape("a\nb\u{1b}[2J\u{202e}c", 100), "a\\u{a}b\\u{1b}[2J\\u{202e}c");
        assert_eq!(escape("Grüße 🦀", 100), "Grüße 🦀");
    }

    #[test]
    fn a_cut_is_at_a_character_and_within_the_limit() {
        assert_eq!(escape("abcdef", 6), "abcdef");
        assert_eq!(escape("abcdefg", 6), "abc…");
        assert_eq!(escape("üüüü", 7), "üü…");
        assert_eq!(escape("abc", 2), "");
        for most in 0..40 {
            assert!(escape("a\nbü🦀\u{202e}cccccc", most).len() <= most, "{most}");
        }
    }
}
