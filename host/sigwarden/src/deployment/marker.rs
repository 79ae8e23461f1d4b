//! The marker: a small file outside the deployment that says where, on which machine, and in which life the deployment signs, and how far
//! it came. A ledger that was copied elsewhere or restored from a backup does not agree with it, and opens only after
//! `sigwarden ledger adopt`: two ledgers with one past would sign two messages for one position.
//!
//! What it cannot notice: that the whole machine, this file included, was set back to an earlier moment.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sigwarden_ledger::{Admit, Found};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the file's format.
const FORMAT: u32 = 1;

/// Bytes of the file: two hashes, a path of 4,096 bytes at most, and numbers.
const BYTES_MAX: u64 = 16 * 1024;

/// Where systemd and D-Bus keep the machine's id.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marker {
    sigwarden_marker: u32,
    deployment_id: String,
    /// Of the machine's id and the deployment's; absent where a machine has no id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    /// The state directory, without links.
    state_dir: PathBuf,
    /// Its inode: a directory that was restored under the same name is another.
    inode: u64,
    /// Which life of the deployment.
    pub(crate) generation: u64,
    /// A record that the ledger has had.
    sequence: u64,
}

impl Marker {
    /// The state directory that signed last, if it was on this machine.
    pub(crate) fn signed_here(&self) -> Option<&Path> {
        let here = machine(&self.deployment_id);
        let elsewhere = self.machine.is_some() && here.is_some() && self.machine != here;
        (!elsewhere).then_some(self.state_dir.as_path())
    }
}

/// A marker's place, and the deployment that it is of.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The directory of markers.
    dir: PathBuf,
    state_dir: PathBuf,
}

impl Place {
    pub(crate) fn new(dir: &Path, state_dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            state_dir: state_dir.to_owned(),
        }
    }

    fn file(&self, deployment_id: &str) -> PathBuf {
        self.dir.join(format!("{deployment_id}.json"))
    }

    /// The marker of a deployment, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(crate) fn read(&self, deployment_id: &str) -> io::Result<Option<Marker>> {
        let text = match crate::files::read_text(&self.file(deployment_id), BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let marker: Marker = serde_json::from_str(&text).map_err(|error| io::Error::other(format!("is no marker: {error}")))?;
        if marker.sigwarden_marker != FORMAT || marker.deployment_id != deployment_id {
            return Err(io::Error::other("is no marker of this deployment, or one of a newer Sigwarden"));
        }
        Ok(Some(marker))
    }

    /// Says how far the deployment came, if the marker still says that it is here: one that another copy's adoption has written is a
    /// fence, and stays.
    ///
    /// # Errors
    /// It does not say so, or the file cannot be written.
    pub(crate) fn go_on(&self, found: &Found<'_>) -> io::Result<()> {
        self.judge(found).map_err(io::Error::other)?;
        self.write(found)
    }

    /// Says that the deployment is here from now on, whatever was said before: for `init` and `ledger adopt`. Durable when it returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, found: &Found<'_>) -> io::Result<()> {
        let here = Here::of(&self.state_dir, found.deployment_id)?;
        let marker = Marker {
            sigwarden_marker: FORMAT,
            deployment_id: found.deployment_id.to_owned(),
            machine: here.machine,
            state_dir: here.state_dir,
            inode: here.inode,
            generation: found.generation,
            sequence: found.sequence,
        };
        let text = serde_json::to_string_pretty(&marker).map_err(io::Error::other)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let file = self.file(found.deployment_id);
        let fresh = file.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        opened.write_all(text.as_bytes())?;
        opened.sync_all()?;
        std::fs::rename(&fresh, &file)?;
        std::fs::File::open(&self.dir)?.sync_all()
    }

    /// Whether a ledger that was found may be opened here.
    ///
    /// # Errors
    /// What differs, what that means, and the command that is safe.
    pub(crate) fn judge(&self, found: &Found<'_>) -> Result<(), String> {
        let file = self.file(found.deployment_id);
        let unusable = |error: io::Error| format!("{}: {error}; {}", file.display(), ADOPT);
        let marker = self.read(found.deployment_id).map_err(unusable)?;
        let here = Here::of(&self.state_dir, found.deployment_id).map_err(unusable)?;
        match differs(marker.as_ref(), &here, found) {
            None => Ok(()),
            Some(what) => Err(format!("{what} (marker: {}). {ADOPT}", file.display())),
        }
    }

    /// [`Place::judge`], for the ledger to ask.
    pub(crate) fn admit(self) -> Admit {
        Arc::new(move |found| self.judge(found))
    }
}

/// What to do about it.
const ADOPT: &str = "If another copy may still sign, or has signed since, this one would sign against it: stop it for good, find the last \
height that each validator signed anywhere, then `sigwarden ledger adopt --floor HEIGHT --reason TEXT`";

/// Where this process finds the deployment.
struct Here {
    machine: Option<String>,
    state_dir: PathBuf,
    inode: u64,
}

impl Here {
    fn of(state_dir: &Path, deployment_id: &str) -> io::Result<Self> {
        let state_dir = state_dir.canonicalize()?;
        Ok(Self {
            machine: machine(deployment_id),
            inode: std::fs::metadata(&state_dir)?.ino(),
            state_dir,
        })
    }
}

/// The machine, for this deployment: machine-id(5) asks not to show the id itself.
fn machine(deployment_id: &str) -> Option<String> {
    let id = MACHINE_ID
        .iter()
        .find_map(|file| crate::files::read_text(Path::new(file), 256).ok())?;
    let id = id.trim();
    let known = !id.is_empty() && id != "uninitialized";
    known.then(|| hex::encode(Sha256::digest(format!("sigwarden marker v1\n{deployment_id}\n{id}"))))
}

fn differs(marker: Option<&Marker>, here: &Here, found: &Found<'_>) -> Option<String> {
    let Some(marker) = marker else {
        return Some(
            "this machine has no marker of the deployment: it was made or signed last elsewhere, and was copied or restored".to_owned(),
        );
    };
    // A container without a machine's id is told by the rest.
    if let (Some(known), Some(now)) = (&marker.machine, &here.machine)
        && known != now
    {
        return Some("the deployment signed last on another machine, and was copied here".to_owned());
    }
    if marker.state_dir != here.state_dir {
        return Some(format!(
            "the deployment signed last in {}, and was copied or moved to {}",
            marker.state_dir.display(),
            here.state_dir.display()
        ));
    }
    if marker.generation != found.generation {
        return Some(format!(
            "the ledger is of generation {}, the one that signed last of {}: another copy was adopted, or a backup was restored",
            found.generation, marker.generation
        ));
    }
    if marker.inode != here.inode {
        return Some(format!(
            "{} is not the directory that it was: it was restored or replaced",
            here.state_dir.display()
        ));
    }
    (found.sequence < marker.sequence).then(|| {
        format!(
            "the ledger ends with record {}, but has had record {}: an older state of it was restored",
            found.sequence, marker.sequence
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";

    fn found(generation: u64, sequence: u64) -> Found<'static> {
        Found {
            deployment_id: ID,
            generation,
            sequence,
        }
    }

    #[test]
    fn only_the_same_directory_in_the_same_life_with_all_it_had_is_admitted() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let place = Place::new(&home.path().join("markers"), &state);
        let refused = |place: &Place, found: &Found<'_>, words: &str| {
            let error = place.judge(found).unwrap_err();
            assert!(error.contains(words) && error.contains("sigwarden ledger adopt"), "{error}");
        };
        refused(&place, &found(1, 5), "no marker");
        place.write(&found(1, 5)).unwrap();
        place.judge(&found(1, 5)).unwrap();
        place.judge(&found(1, 6)).unwrap();
        refused(&place, &found(1, 4), "ends with record 4, but has had record 5");
        refused(&place, &found(2, 9), "generation 2");
        // Another copy was adopted: what this one says does not take the fence away.
        place.write(&found(2, 7)).unwrap();
        assert!(place.go_on(&found(1, 9)).unwrap_err().to_string().contains("generation"));
        refused(&place, &found(1, 9), "generation");
        place.go_on(&found(2, 8)).unwrap();
        refused(&place, &found(2, 7), "has had record 8");
        std::fs::remove_file(place.file(ID)).unwrap();
        assert!(place.go_on(&found(2, 9)).is_err(), "a marker that is gone is not made again");
        place.write(&found(1, 5)).unwrap();

        let copy = home.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        refused(&Place::new(&home.path().join("markers"), &copy), &found(1, 5), "copied or moved");
        // The same name, another directory. The old one is kept, so that its inode is not given again.
        std::fs::rename(&state, home.path().join("old")).unwrap();
        std::fs::create_dir(&state).unwrap();
        refused(&place, &found(1, 5), "restored or replaced");

        let file = place.file(ID);
        std::fs::write(&file, "{}").unwrap();
        refused(&place, &found(1, 5), "is no marker");
    }

    #[test]
    fn another_machine_is_refused_and_one_without_id_told_by_the_rest() {
        let here = |machine: Option<&str>| Here {
            machine: machine.map(str::to_owned),
            state_dir: "/s".into(),
            inode: 7,
        };
        let marker = |machine: Option<&str>| Marker {
            sigwarden_marker: FORMAT,
            deployment_id: ID.into(),
            machine: machine.map(str::to_owned),
            state_dir: "/s".into(),
            inode: 7,
            generation: 1,
            sequence: 5,
        };
        assert!(
            differs(Some(&marker(Some("a"))), &here(Some("b")), &found(1, 5))
                .unwrap()
                .contains("another machine")
        );
        for (known, now) in [(None, Some("b")), (Some("a"), None), (None, None), (Some("a"), Some("a"))] {
            assert_eq!(differs(Some(&marker(known)), &here(now), &found(1, 5)), None);
        }
    }
}
