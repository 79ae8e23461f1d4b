//! A new policy: a crate that builds, with one rule, a test, a fixture, a README, and the SDK that it is made with.
//!
//! The SDK is on no registry, so the crate carries its sources (`sdk/`), out of this binary, or points to a checkout. Carried, it lies
//! inside of the crate's workspace, where cargo names its symbols by their place in it: the module's bytes do not depend on where the
//! crate lies. The lock file comes along too, so that the first build takes the versions that this Sigwarden is tested with.

use std::path::{Path, PathBuf};

mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

const LIB: &str = include_str!("../scaffold/lib.rs");
const TEST: &str = include_str!("../scaffold/rule.rs");
const FIXTURE: &str = include_str!("../scaffold/example.toml");
const README: &str = include_str!("../scaffold/README.md");
/// The reference of the format that fixtures/ is written in.
const FIXTURES: &str = include_str!("../../workbench/FIXTURES.md");

/// Bytes of a name at most: the manifest's limit.
const NAME_MAX: usize = 64;

/// Names that cargo or rustc would stumble over: words of the language, crates that are always there.
const TAKEN: [&str; 62] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "con",
    "nul",
];

/// Why there is no new crate.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is none.
    #[error("`{name}` is no policy's name: {rule}")]
    Name {
        /// What was given.
        name: String,
        /// What would be right.
        rule: &'static str,
    },
    /// Something is there.
    #[error("{} exists already; nothing was written. Choose another name, or another folder with --path", .0.display())]
    Exists(PathBuf),
    /// The SDK is not where it should be.
    #[error("{} is not the SDK: it has no Cargo.toml of `sigwarden-guest`. Name the folder `guest-sdk` of a checkout of Sigwarden, or leave --sdk out and the crate gets a copy", .0.display())]
    Sdk(PathBuf),
    /// A file cannot be written.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// A crate to be.
#[derive(Debug, Clone)]
pub struct Scaffold {
    name: String,
    folder: PathBuf,
    sdk: Option<PathBuf>,
}

impl Scaffold {
    /// A crate of that name, in `folder`, which must not exist. With `sdk`, the folder `guest-sdk` of a checkout, it depends on that,
    /// else it carries a copy.
    ///
    /// # Errors
    /// The name is none, or the SDK is not there.
    pub fn new(name: &str, folder: Option<PathBuf>, sdk: Option<&Path>) -> Result<Self, ScaffoldError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            folder: folder.unwrap_or_else(|| PathBuf::from(name)),
            sdk: sdk.map(checkout).transpose()?,
        })
    }

    /// The crate's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the crate. What was begun and cannot be finished is removed.
    ///
    /// # Errors
    /// The folder exists, or a file cannot be written.
    pub fn write(&self) -> Result<(), ScaffoldError> {
        let failed = |path: &Path, error| {
            let path = path.to_owned();
            ScaffoldError::File { path, error }
        };
        if let Some(parent) = self.folder.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        // Not `create_dir_all`, which takes what is there.
        std::fs::create_dir(&self.folder).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                ScaffoldError::Exists(self.folder.clone())
            } else {
                failed(&self.folder, error)
            }
        })?;
        for (path, text) in self.files() {
            let path = self.folder.join(path);
            let written = path
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&path, text));
            if let Err(error) = written {
                let _ = std::fs::remove_dir_all(&self.folder);
                return Err(failed(&path, error));
            }
        }
        Ok(())
    }

    fn files(&self) -> Vec<(String, String)> {
        let named = |text: &str| text.replace("NAME", &self.name).replace("CRATE", &self.name.replace('-', "_"));
        let facts = if self.sdk.is_some() { "`wit/`" } else { "`sdk/wit/`" };
        let mut files = vec![
            ("Cargo.toml".to_owned(), self.manifest()),
            ("Cargo.lock".to_owned(), self.lock()),
            (".gitignore".to_owned(), "/target\n".to_owned()),
            (
                "README.md".to_owned(),
                named(README).replace("SDKfacts.md", &format!("listed in {facts}, facts.md")),
            ),
            ("src/lib.rs".to_owned(), named(LIB)),
            ("tests/rule.rs".to_owned(), named(TEST)),
            ("fixtures/example.toml".to_owned(), named(FIXTURE)),
            ("FIXTURES.md".to_owned(), FIXTURES.to_owned()),
        ];
        if self.sdk.is_none() {
            files.extend(sdk::FILES.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
        }
        files
    }

    fn manifest(&self) -> String {
        let sdk = match &self.sdk {
            // A TOML literal; `checkout` has refused what it cannot hold.
            Some(path) => format!("'{}'", path.display()),
            None => "'sdk/guest-sdk'".to_owned(),
        };
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"{edition}\"\nrust-version = \"{rust}\"\npublish = false\n\n\
             [lib]\n# The module, and what tests link.\ncrate-type = [\"cdylib\", \"rlib\"]\n\n\
             [dependencies]\nsigwarden-guest = {{ path = {sdk} }}\n# Named by the derives of `Config`.\n{derives}\n\
             # A workspace of its own, whatever lies above it.\n[workspace]\n",
            name = self.name,
            edition = sdk::EDITION,
            rust = sdk::RUST_VERSION,
            derives = sdk::DERIVES,
        )
    }

    fn lock(&self) -> String {
        let mut dependencies: Vec<&str> = sdk::DERIVE_NAMES.to_vec();
        dependencies.push("sigwarden-guest");
        let dependencies: Vec<String> = dependencies.iter().map(|name| format!(" \"{name}\",\n")).collect();
        format!(
            "{}\n[[package]]\nname = \"{}\"\nversion = \"0.1.0\"\ndependencies = [\n{}]\n",
            sdk::LOCK,
            self.name,
            dependencies.concat()
        )
    }
}

fn check_name(name: &str) -> Result<(), ScaffoldError> {
    let refuse = |rule| {
        let name = name.chars().take(NAME_MAX).flat_map(char::escape_debug).collect();
        Err(ScaffoldError::Name { name, rule })
    };
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !(1..=NAME_MAX).contains(&name.len()) || !plain {
        return refuse("1 to 64 bytes of `a-z`, `0-9`, `-` are right, such as `max-value`");
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.ends_with('-') || name.contains("--") {
        return refuse("it begins with a letter, and a `-` stands between two others");
    }
    if TAKEN.contains(&name) {
        return refuse("Rust has that word for itself; another is right, such as `my-rule`");
    }
    if sdk::LOCKED.contains(&name) {
        return refuse("a crate that every policy is built from is called so; another is right, such as `my-rule`");
    }
    Ok(())
}

/// The SDK's folder, absolute.
fn checkout(folder: &Path) -> Result<PathBuf, ScaffoldError> {
    let refuse = || ScaffoldError::Sdk(folder.to_owned());
    let folder = folder.canonicalize().map_err(|_| refuse())?;
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).map_err(|_| refuse())?;
    let is_sdk = manifest.lines().any(|line| line.trim() == "name = \"sigwarden-guest\"");
    let in_toml = folder.to_str().is_some_and(|text| !text.contains(['\'', '\n']));
    if is_sdk && in_toml { Ok(folder) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_are_those_of_manifests_and_crates() {
        for good in ["a", "max-value", "erc20", &"a".repeat(64)] {
            check_name(good).unwrap();
        }
        for (bad, part) in [
            ("", "1 to 64 bytes"),
            ("Max", "1 to 64 bytes"),
            ("max_value", "1 to 64 bytes"),
            ("a/b", "1 to 64 bytes"),
            ("..", "1 to 64 bytes"),
            ("ä", "1 to 64 bytes"),
            (&"a".repeat(65), "1 to 64 bytes"),
            ("1st", "begins with a letter"),
            ("-a", "begins with a letter"),
            ("a-", "between two others"),
            ("a--b", "between two others"),
            ("fn", "Rust has that word"),
            ("core", "Rust has that word"),
            ("serde", "built from"),
            ("sigwarden-guest", "built from"),
            ("a\u{1b}[2J", "`a\\u{1b}[2J`"),
        ] {
            let error = Scaffold::new(bad, None, None).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

    #[test]
    fn the_rule_is_short() {
        assert!(LIB.lines().count() < 40, "{}", LIB.lines().count());
    }

    #[test]
    fn no_placeholder_is_left() {
        let scaffold = Scaffold::new("max-value", None, None).unwrap();
        let copied = |path: &str| path.starts_with("sdk/") || path == "FIXTURES.md";
        for (path, text) in scaffold.files().iter().filter(|(path, _)| !copied(path)) {
            for placeholder in ["NAME", "CRATE", "SDKfacts"] {
                assert!(!text.contains(placeholder), "{path} has {placeholder}");
            }
        }
    }
}
