//! The outside witness, `tests/peers/verify.py`, and a log taken apart and put together again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has `blake3`: `cargo xtask test` makes one under the target directory.
fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("SIGWARDEN_PYTHON") {
        return path.into();
    }
    let me = std::env::current_exe().unwrap();
    let found = me
        .ancestors()
        .map(|folder| folder.join("python/bin/python3"))
        .find(|path| path.is_file());
    found.expect("no Python with `blake3` under the target directory; run `cargo xtask install-deps`, which makes it")
}

/// What the witness says of each of these directories, in order.
pub(crate) fn ask(dirs: &[PathBuf]) -> Vec<serde_json::Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/verify.py");
    let output = Command::new(python()).arg(script).args(dirs).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), dirs.len(), "{}", String::from_utf8_lossy(&output.stderr));
    answers
}

/// A segment: its header's line, and the lines of its frames, without LFs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) header: String,
    pub(crate) frames: Vec<Vec<String>>,
}

/// A log in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log(pub(crate) Vec<Segment>);

impl Log {
    pub(crate) fn read(paths: &[PathBuf]) -> Self {
        let segments = paths.iter().map(|path| {
            let text = String::from_utf8(fs::read(path).unwrap()).unwrap();
            let mut lines = text.trim_end_matches('\0').lines();
            let header = lines.next().unwrap().to_owned();
            lines.next().unwrap();
            let (mut frames, mut frame) = (Vec::new(), Vec::new());
            for line in lines {
                if line.starts_with("{\"frame\":") {
                    frames.push(std::mem::take(&mut frame));
                } else {
                    frame.push(line.to_owned());
                }
            }
            Segment { header, frames }
        });
        Self(segments.collect())
    }

    /// Every line of every record.
    pub(crate) fn lines(&mut self) -> Vec<&mut String> {
        self.0.iter_mut().flat_map(|segment| segment.frames.iter_mut().flatten()).collect()
    }

    /// The files: every hash and length made anew, and every sequence if asked, so that only what is said may be wrong.
    pub(crate) fn files(&self, renumber: bool) -> Vec<(String, Vec<u8>)> {
        let (mut head, mut sequence) = ("0".repeat(64), 0);
        let mut files = Vec::new();
        for segment in &self.0 {
            let frames: Vec<_> = segment.frames.iter().filter(|frame| !frame.is_empty()).collect();
            let first = sequence + 1;
            let header = with(&with(&segment.header, "first", &first.to_string()), "previous", &head);
            let mut out = frame(&format!("{header}\n"), first, first - 1);
            for lines in frames {
                let (first, mut text) = (sequence + 1, String::new());
                for line in lines {
                    sequence += 1;
                    let mut line = with(line, "previous", &head);
                    if renumber {
                        line = with(&line, "sequence", &sequence.to_string());
                    }
                    head = blake3::hash(line.as_bytes()).to_hex().to_string();
                    text.push_str(&line);
                    text.push('\n');
                }
                out.push_str(&frame(&text, first, sequence));
            }
            files.push((format!("{first:020}.jsonl"), out.into_bytes()));
        }
        files
    }
}

/// Lines with their terminator.
fn frame(lines: &str, first: u64, last: u64) -> String {
    let (bytes, hash) = (lines.len(), blake3::hash(lines.as_bytes()).to_hex());
    format!("{lines}{{\"frame\":{{\"first\":\"{first}\",\"last\":\"{last}\",\"bytes\":\"{bytes}\",\"blake3\":\"{hash}\"}}}}\n")
}

/// The line with another value of the first field of this name, which holds a string.
pub(crate) fn with(line: &str, field: &str, value: &str) -> String {
    let name = format!("\"{field}\":\"");
    let Some(at) = line.find(&name).map(|at| at + name.len()) else {
        return line.to_owned();
    };
    let end = at + line[at..].find('"').unwrap();
    format!("{}{value}{}", &line[..at], &line[end..])
}

/// Writes a log as the ledger's own would be.
pub(crate) fn write(dir: &Path, files: &[(String, Vec<u8>)]) {
    let log = dir.join("log");
    fs::create_dir_all(&log).unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o700)).unwrap();
    for (name, bytes) in files {
        let path = log.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
