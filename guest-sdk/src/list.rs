//! Lists in a configuration, where one that is left out means everything.

use std::fmt::Display;

/// Whether a list is left out, or has an entry that passes the test: what an optional `keys`, `callers` or `formats` means.
pub fn listed<T>(list: &Option<Vec<T>>, test: impl Fn(&T) -> bool) -> bool {
    list.as_ref().is_none_or(|list| list.iter().any(test))
}

/// The entries for a message: `a`, `b` or `c`; at most eight, since a list may be long and a denial may not.
pub fn shown<T: Display>(list: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let all: Vec<String> = list.into_iter().map(|entry| format!("`{entry}`")).collect();
    match all.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) if all.len() <= SHOWN => format!("{} or {last}", others.join(", ")),
        Some(_) => {
            let first: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
            format!("{} or {} more", first.join(", "), all.len() - SHOWN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_out_is_all_and_empty_is_none() {
        assert!(listed(&None::<Vec<u8>>, |_| false));
        assert!(!listed(&Some(Vec::<u8>::new()), |_| true));
        assert!(listed(&Some(vec![1, 2]), |entry| *entry == 2));
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(shown(Vec::<u8>::new()), "none");
        assert_eq!(shown(["a"]), "`a`");
        assert_eq!(shown(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(shown(1..=20), "`1`, `2`, `3`, `4`, `5`, `6`, `7`, `8` or 12 more");
    }
}
