//! A runbook's blocks.

use std::path::PathBuf;

/// The runbooks, in `docs/`.
pub(crate) const BOOKS: [&str; 4] = ["hsm.md", "keys.md", "mainnet-checklist.md", "limitations.md"];

/// Commands, and what they print.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it begins.
    pub(crate) line: usize,
    pub(crate) commands: String,
    pub(crate) fails: bool,
    /// What the runbook says that is printed.
    pub(crate) prints: Option<String>,
}

/// A runbook's text.
pub(crate) fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every fenced block: its line, tag and text.
pub(crate) fn fences(text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(""), Some(block)) => found.push(block),
            (Some(tag), Some((at, _, _))) => panic!("line {}: ```{tag} within the block of line {at}", number + 1),
            (Some(""), None) => panic!("line {}: a block without a tag: is it to be run or not?", number + 1),
            (Some(tag), None) => open = Some((number + 1, tag.to_owned(), String::new())),
            (None, Some((at, tag, inner))) => open = Some((at, tag, inner + line + "\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block that does not end: {open:?}");
    found
}

/// The blocks that are run.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut follows = false;
    for (line, tag, inner) in fences(text) {
        match tag.as_str() {
            "sh" | "sh fails" => blocks.push(Block {
                line,
                commands: inner,
                fails: tag.ends_with("fails"),
                prints: None,
            }),
            "text" if follows => blocks.last_mut().unwrap().prints = Some(inner),
            "text" => panic!("line {line}: a `text` block belongs directly behind the commands that print it"),
            "toml" | "ini" | "console" => {}
            other => panic!("line {line}: ```{other} is none of `sh`, `sh fails`, `text`, `toml`, `ini`, `console`"),
        }
        follows = tag.starts_with("sh");
    }
    for block in &blocks {
        assert!(
            !block.fails || block.prints.is_some(),
            "line {}: it fails, and how is not said",
            block.line
        );
    }
    blocks
}

/// Whether all that a runbook says stands in what was printed, in order; else the piece that does not. Blanks count as one.
pub(crate) fn missing(says: &str, printed: &str) -> Option<String> {
    let even = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed = even(printed);
    let mut rest = printed.as_str();
    for piece in says.lines().flat_map(|line| line.split('…')) {
        let piece = even(piece);
        match rest.find(&piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap(),
            None => return Some(piece),
        }
    }
    None
}

#[test]
fn blocks_are_found_with_what_they_print() {
    let text = "a\n```sh\none\ntwo\n```\nand\n```text\n2\n```\n```toml\nx = 1\n```\n```sh fails\nthree\n```\n```text\nno\n```\n";
    let blocks = blocks(text);
    assert_eq!(blocks.len(), 2);
    let (first, second) = (&blocks[0], &blocks[1]);
    assert_eq!((first.line, first.commands.as_str(), first.fails), (2, "one\ntwo\n", false));
    assert_eq!(first.prints.as_deref(), Some("2\n"));
    assert_eq!((second.fails, second.prints.as_deref()), (true, Some("no\n")));
}

#[test]
fn what_was_not_printed_or_not_in_this_order_is_missed() {
    assert_eq!(missing("key …  active\nkey b", "x\nkey a.v1   active\nkey b\n"), None);
    assert_eq!(missing("key b\nkey a", "key a\nkey b\n"), Some("key a".to_owned()));
    assert_eq!(missing("suspended", "active"), Some("suspended".to_owned()));
}
