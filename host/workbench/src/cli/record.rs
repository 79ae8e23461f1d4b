//! `sigwarden policy record`.

use super::{Outcome, OwnModules, Presentation, WorkbenchError, furnished};
use crate::library::Library;
use crate::recording::{self, Recording, Written};
use crate::report::{Style, fixture_text, paint};
use crate::run::FixtureResult;
use crate::suite;
use clap::Args;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Write a fixture from requests that a running devnet daemon sees from now on
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  sigwarden -d signer policy record seen.toml                   until Ctrl-C\n  sigwarden -d signer policy record seen.toml --seconds 60 --requests 50\n  sigwarden policy record seen.toml --from recording.jsonl      of a recording that was kept\n\nOnly on devnet: payloads stand in the fixture as they came. It begins with the floors and the policies' state that the daemon had,\nand is run once it is written.\n\nExit codes: 0 written, and it comes out as recorded; 1 refused, or written, and some step comes out otherwise; 2 nothing was written."
)]
pub struct RecordArgs {
    /// The fixture to write; a file that is there is left as it is
    #[arg(value_name = "FIXTURE")]
    pub fixture: PathBuf,
    /// End after so many seconds
    #[arg(long, value_name = "N", value_parser = super::at_least_one, conflicts_with = "from")]
    pub seconds: Option<usize>,
    /// End after so many requests, 10000 at most; 1000 if left out
    #[arg(long, value_name = "N", value_parser = super::at_least_one, conflicts_with = "from")]
    pub requests: Option<usize>,
    /// A recording, instead of the daemon: JSON lines; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Where modules are looked for first
    #[arg(long, value_name = "DIR")]
    pub modules: Vec<PathBuf>,
}

impl RecordArgs {
    /// Refuses a fixture that is there already; before anybody waits for requests.
    ///
    /// # Errors
    /// It is there.
    pub fn refuse_existing(&self) -> Result<(), WorkbenchError> {
        if self.fixture.exists() {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, "it is there already; name another file, or remove it");
            return Err(at(&self.fixture, error));
        }
        Ok(())
    }

    /// The recording that `--from` names; none if it names none.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn source(&self) -> Result<Option<Box<dyn BufRead>>, WorkbenchError> {
        let Some(file) = &self.from else { return Ok(None) };
        if file.as_os_str() == "-" {
            return Ok(Some(Box::new(io::stdin().lock())));
        }
        let opened = std::fs::File::open(file).map_err(|error| WorkbenchError::File { file: file.clone(), error })?;
        Ok(Some(Box::new(BufReader::new(opened))))
    }
}

/// Reads a recording to its end, writes the fixture and runs it.
///
/// # Errors
/// Nothing was written: the recording cannot be read or repeated, or the file is there already.
pub fn record(
    args: &RecordArgs,
    own: &OwnModules<'_>,
    source: &mut dyn BufRead,
    presentation: Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, WorkbenchError> {
    args.refuse_existing()?;
    let recording = Recording::read(source)?;
    let written = recording::write(&recording, &args.fixture)?;
    for (name, text) in &written.beside {
        let file = args.fixture.parent().unwrap_or(Path::new("")).join(name);
        create(&file, text)?;
    }
    create(&args.fixture, &written.fixture)?;
    for note in &recording.notes {
        writeln!(err, "{note}")?;
    }
    for one in &written.left_out {
        writeln!(err, "request {} is not in it: {}", one.request, one.why)?;
    }
    let library = furnished(Library::new(args.modules.clone())?, own, Some(&args.fixture));
    let ran = suite::run(&library, std::slice::from_ref(&args.fixture), 1, &|_| true);
    for error in &ran.errors {
        writeln!(err, "{error}")?;
    }
    let as_recorded = ran.errors.is_empty() && ran.results.iter().all(FixtureResult::passed);
    let steps = ran.results.iter().map(|result| result.steps.len()).sum();
    print(args, &written, steps, as_recorded, presentation, out)?;
    for result in ran.results.iter().filter(|result| !result.passed()) {
        write!(err, "{}", fixture_text(result, false, presentation.colour))?;
    }
    if !as_recorded {
        let why = "some steps come out otherwise than recorded: requests that were on their way as the recording began or ended are not in it, \
                   and may have changed a policy's state; or a module or a configuration is another one now";
        writeln!(err, "{}", paint(presentation.colour, Style::Bad, why))?;
    }
    out.flush()?;
    Ok(if as_recorded { Outcome::Passed } else { Outcome::Failed })
}

fn print(
    args: &RecordArgs,
    written: &Written,
    steps: usize,
    as_recorded: bool,
    presentation: Presentation,
    out: &mut dyn Write,
) -> Result<(), WorkbenchError> {
    let (file, left_out) = (args.fixture.display().to_string(), written.left_out.len());
    if presentation.json {
        let line = serde_json::json!({ "fixture": file, "steps": steps, "left_out": left_out, "as_recorded": as_recorded });
        writeln!(out, "{line}")?;
    } else {
        let rest = match left_out {
            0 => String::new(),
            1 => ", 1 request left out".to_owned(),
            many => format!(", {many} requests left out"),
        };
        writeln!(out, "{file}: {steps} steps{rest}")?;
    }
    Ok(())
}

fn at(file: &Path, error: io::Error) -> WorkbenchError {
    WorkbenchError::File {
        file: file.to_owned(),
        error,
    }
}

/// Writes a file that is not there.
fn create(file: &Path, text: &str) -> Result<(), WorkbenchError> {
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(|error| at(file, error))?;
    created.write_all(text.as_bytes()).map_err(|error| at(file, error))
}
