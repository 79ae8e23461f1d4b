//! Commands that runbooks name in their text exist, with the options that they are given.

use crate::book::{BOOKS, fences, read};
use std::collections::BTreeSet;
use std::process::Command;

/// Every command of ours in backticks, or at the start of a line that is shown and not run.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, tag, inner) in fences(text) {
        if tag == "console" {
            found.extend(inner.lines().filter(|line| line.starts_with("sigwarden ")).map(str::to_owned));
        }
    }
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if !fenced {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.filter(|span| span.starts_with("sigwarden ")).map(str::to_owned));
        }
    }
    found
}

fn help(words: &[&str]) -> Option<String> {
    let output = Command::new(sigwarden_tests::node::binary().unwrap())
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// What is wrong with a command; nothing if it exists.
fn wrong(command: &str) -> Option<String> {
    let mut words = command.split_whitespace().skip(1).peekable();
    let mut path: Vec<&str> = Vec::new();
    let mut text = help(&[])?;
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        if matches!(word, "-d" | "--deployment") {
            words.next();
        } else if word.starts_with("--") {
            options.push(word.split('=').next().unwrap());
        } else if options.is_empty() && text.contains("\nCommands:\n") {
            path.push(word);
            match help(&path) {
                Some(found) => text = found,
                None => return Some(format!("there is no `{}`", path.join(" "))),
            }
        }
    }
    let missing = options
        .iter()
        .find(|option| !text.split([' ', ',', '\n', '=', '<']).any(|word| word == **option));
    missing.map(|option| format!("`{}` has no option {option}", path.join(" ")))
}

#[test]
fn every_command_that_a_runbook_names_exists() {
    let mut faults = Vec::new();
    for book in BOOKS {
        let named = named(&read(book));
        assert!(!named.is_empty(), "docs/{book} names no command");
        faults.extend(
            named
                .iter()
                .filter_map(|command| wrong(command).map(|why| format!("docs/{book}: `{command}`: {why}"))),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn commands_and_options_that_do_not_exist_are_noticed() {
    assert_eq!(wrong("sigwarden -d signer keys rotate demo.account --reason TEXT"), None);
    assert_eq!(
        wrong("sigwarden keys turn demo.account").as_deref(),
        Some("there is no `keys turn`")
    );
    assert_eq!(
        wrong("sigwarden keys rotate demo.account --why x").as_deref(),
        Some("`keys rotate` has no option --why")
    );
    let text = "see `sigwarden check --matrix`,\n```console\nsigwarden serve\n```\n```sh\nsigwarden init\n```\n";
    let found: Vec<String> = named(text).into_iter().collect();
    assert_eq!(found, ["sigwarden check --matrix", "sigwarden serve"]);
}
