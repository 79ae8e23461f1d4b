//! The commands as a command line runs them.

use sigwarden_component::cli::{self, BuildArgs, Inspect, New, Streams};
use std::path::{Path, PathBuf};

/// What a command left: its exit code, what it printed, what it complained of.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, cli::DONE, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

fn run(json: bool, command: impl FnOnce(&mut Streams<'_>) -> u8) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = command(&mut Streams {
        out: &mut out,
        err: &mut err,
        json,
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code,
        out: text(out),
        err: text(err),
    }
}

pub(crate) fn new(name: &str, path: &Path, sdk: Option<&Path>) -> Ran {
    let arguments = New {
        name: name.to_owned(),
        path: Some(path.to_owned()),
        sdk: sdk.map(Path::to_owned),
    };
    run(false, |streams| cli::new(&arguments, streams))
}

pub(crate) fn inspect(path: &Path, json: bool) -> Ran {
    let arguments = Inspect { module: path.to_owned() };
    run(json, |streams| cli::inspect(&arguments, streams))
}

/// Builds what is in a folder; offline if nothing is to be fetched.
pub(crate) fn build(folder: &Path, change: impl FnOnce(&mut BuildArgs), json: bool) -> Ran {
    let mut arguments = BuildArgs {
        folder: folder.to_owned(),
        out: None,
        target_dir: None,
        locked: false,
        offline: false,
    };
    change(&mut arguments);
    run(json, |streams| cli::build(&arguments, streams))
}

/// The top of this repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file below a folder, relative, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_exists_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    std::fs::create_dir(&path).unwrap();
    let ran = new("max-value", &path, None);
    assert_eq!((ran.code, ran.out.as_str()), (cli::REFUSED, ""));
    assert!(ran.err.contains("exists already; nothing was written"), "{}", ran.err);
    assert_eq!(files(&path), Vec::<String>::new());

    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert_eq!(new("max-value", &file, None).code, cli::REFUSED);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_bad_name_is_told_what_is_allowed_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let ran = new("Max_Value", &path, None);
    assert_eq!(ran.code, cli::REFUSED);
    assert_eq!(
        ran.err,
        "error: `Max_Value` is no policy's name: 1 to 64 bytes of `a-z`, `0-9`, `-` are right, such as `max-value`\n"
    );
    assert!(!path.exists());
}

#[test]
fn an_sdk_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ran = new("max-value", &folder.path().join("new"), Some(folder.path()));
    assert_eq!(ran.code, cli::REFUSED);
    assert!(ran.err.contains("is not the SDK"), "{}", ran.err);
    assert!(!folder.path().join("new").exists());
}

#[test]
fn a_folder_without_a_crate_is_told_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let ran = build(folder.path(), |_| {}, true);
    assert_eq!(ran.code, cli::REFUSED);
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert!(error["error"].as_str().unwrap().contains("sigwarden policy new NAME"), "{error}");
    // A workspace that is no package itself.
    assert_eq!(build(&root(), |arguments| arguments.offline = true, false).code, cli::REFUSED);
}

#[test]
fn a_file_that_is_not_there_could_not_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(inspect(&folder.path().join("none.wasm"), false).code, cli::CANNOT);
}
