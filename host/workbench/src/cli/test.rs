//! `sigwarden policy test`.

use super::{Outcome, OwnModules, Presentation, WorkbenchError, furnished, write_file};
use crate::conformance::{self, Conformance};
use crate::coverage::{Coverage, coverage};
use crate::library::Library;
use crate::prepared::Prepared;
use crate::report::{
    Style, conformance_line, conformance_summary, conformance_text, coverage_line, coverage_text, fixture_text, junit, paint, step_line,
    summary,
};
use crate::run::FixtureResult;
use crate::suite::{self, Ran};
use clap::Args;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_millis(300);

/// Run policy fixtures through the real pipeline: sandbox, ledger, mock HSM
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  sigwarden policy test policies/rate-limit              every fixture of one policy\n  sigwarden policy test policies --filter exceeded       steps whose name holds the text\n  sigwarden policy test . --watch                        again whenever a file changes\n  sigwarden policy test policies --coverage --coverage-min 90 --junit report.xml\n\nExit codes: 0 all passed; 1 a step failed, or too little is reached; 2 a fixture could not be run."
)]
pub struct TestArgs {
    /// Fixtures, or directories with `fixtures/*.toml` at any depth
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// Only steps whose `policy/fixture/step` holds this text; the steps before them are run all the same
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Run again whenever a fixture or a module changes
    #[arg(long)]
    pub watch: bool,
    /// Fixtures at once; the cores by default
    #[arg(long, value_name = "N", value_parser = super::at_least_one)]
    pub jobs: Option<usize>,
    /// Show every step, with what policies logged and what changed
    #[arg(short, long)]
    pub verbose: bool,
    /// Where modules that fixtures name are looked for first; then in `target/policies` around the fixture
    #[arg(long, value_name = "DIR")]
    pub modules: Vec<PathBuf>,
    /// Show which declared denial codes, facts and configuration fields no step reaches
    #[arg(long)]
    pub coverage: bool,
    /// Fail if less of any policy is reached, in percent
    #[arg(long, value_name = "PERCENT", value_parser = super::percent)]
    pub coverage_min: Option<f64>,
    /// Run every step again under attack: failing host calls, too little fuel, hostile state, facts, clocks and configurations
    #[arg(long)]
    pub conformance: bool,
}

/// Runs fixtures and prints what came of them. With `watch` it returns only if it cannot go on.
///
/// # Errors
/// It could not be tried.
pub fn test(
    args: &TestArgs,
    own: &OwnModules<'_>,
    presentation: Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, WorkbenchError> {
    if !args.watch {
        return test_once(args, own, presentation, out, err);
    }
    loop {
        let seen = changed_at(args);
        match test_once(args, own, presentation, out, err) {
            Ok(_) => {}
            Err(error @ (WorkbenchError::Write(_) | WorkbenchError::Engine(_))) => return Err(error),
            Err(error) => writeln!(err, "{error}")?,
        }
        writeln!(
            err,
            "{}",
            paint(presentation.colour, Style::Dim, "waiting for a change; Ctrl-C ends")
        )?;
        err.flush()?;
        while changed_at(args) == seen {
            std::thread::sleep(WATCH_EVERY);
        }
    }
}

fn test_once(
    args: &TestArgs,
    own: &OwnModules<'_>,
    presentation: Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, WorkbenchError> {
    let begun = Instant::now();
    if let Some(file) = &args.junit {
        super::check_writable(file)?;
    }
    let files = suite::find(&args.paths)?;
    let library = furnished(Library::new(args.modules.clone())?, own, files.first());
    let jobs = args.jobs.unwrap_or_else(suite::cores);
    let wanted = |prepared: &Prepared| {
        let name = |step: &str| format!("{}/{}/{step}", prepared.fixture.policy, prepared.fixture.name);
        let holds =
            |filter: &String| name("").contains(filter) || prepared.fixture.steps.iter().any(|step| name(&step.name).contains(filter));
        args.filter.as_ref().is_none_or(holds)
    };
    let mut ran = suite::run(&library, &files, jobs, &wanted);
    if let Some(filter) = &args.filter {
        if ran.results.is_empty() && ran.errors.is_empty() {
            return Err(WorkbenchError::Filter { filter: filter.clone() });
        }
        ran.results.iter_mut().for_each(|result| only(result, filter));
    }
    print_results(args, &ran, presentation, out, err)?;
    let covered = coverage(&ran.reached, &ran.results);
    let enough = print_coverage(args, &covered, presentation, out, err)?;
    if !presentation.json {
        writeln!(
            out,
            "{}",
            summary(&ran.results, ran.errors.len(), begun.elapsed(), presentation.colour)
        )?;
    }
    if let Some(file) = &args.junit {
        write_file(file, &junit(&ran.results, &ran.errors))?;
    }
    out.flush()?;
    let conforms = !args.conformance || attack(&ran, &library, jobs, presentation, out, err)?;
    out.flush()?;
    let passed = ran.results.iter().all(FixtureResult::passed);
    Ok(match (ran.errors.is_empty(), passed && enough && conforms) {
        (false, _) => Outcome::NotRun,
        (true, true) => Outcome::Passed,
        (true, false) => Outcome::Failed,
    })
}

/// Whether everything withstands.
fn attack(
    ran: &Ran,
    library: &Library,
    jobs: usize,
    presentation: Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<bool, WorkbenchError> {
    let begun = Instant::now();
    let mut all = suite::side_by_side(&ran.prepared, jobs, |prepared| conformance::attack(prepared, library));
    all.extend(conformance::attack_configurations(&ran.prepared, library, jobs));
    let all = conformance::added_up(all);
    for one in &all {
        if presentation.json {
            writeln!(out, "{}", conformance_line(one))?;
        } else {
            write!(out, "{}", conformance_text(one, presentation.colour))?;
        }
        if let Some(trouble) = &one.trouble {
            writeln!(err, "{}: {trouble}", one.file.display())?;
        }
    }
    if !presentation.json {
        writeln!(out, "{}", conformance_summary(&all, begun.elapsed(), presentation.colour))?;
    }
    Ok(all.iter().all(Conformance::holds))
}

/// Keeps the steps that hold the text. One that failed before them is kept too: what comes after it means little.
fn only(result: &mut FixtureResult, filter: &str) {
    let name = format!("{}/{}/", result.policy, result.fixture);
    result
        .steps
        .retain(|step| !step.passed() || format!("{name}{}", step.step).contains(filter));
}

fn print_results(
    args: &TestArgs,
    ran: &Ran,
    presentation: Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), WorkbenchError> {
    for error in &ran.errors {
        writeln!(err, "{error}")?;
    }
    for result in &ran.results {
        if presentation.json {
            for step in &result.steps {
                writeln!(out, "{}", step_line(result, step))?;
            }
            if let Some(trouble) = &result.trouble {
                writeln!(err, "{}: {trouble}", result.file.display())?;
            }
        } else {
            write!(out, "{}", fixture_text(result, args.verbose, presentation.colour))?;
        }
    }
    Ok(())
}

/// Whether enough is reached.
fn print_coverage(
    args: &TestArgs,
    covered: &[Coverage],
    presentation: Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<bool, WorkbenchError> {
    for coverage in covered.iter().filter(|_| args.coverage) {
        if presentation.json {
            writeln!(out, "{}", coverage_line(coverage))?;
        } else {
            write!(out, "{}", coverage_text(coverage, presentation.colour))?;
        }
    }
    let mut enough = true;
    for coverage in covered {
        if let Some(least) = args.coverage_min.filter(|least| coverage.percent() < *least) {
            writeln!(
                err,
                "{}: {:.1} % is reached, {least} % are wanted",
                coverage.policy,
                coverage.percent()
            )?;
            enough = false;
        }
    }
    Ok(enough)
}

/// When each file that matters was last changed.
fn changed_at(args: &TestArgs) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let fixtures = suite::find(&args.paths).unwrap_or_default();
    let mut dirs: Vec<PathBuf> = args.modules.clone();
    for file in &fixtures {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        dirs.extend(absolute.parent().map(Path::to_owned));
        dirs.extend(absolute.ancestors().skip(1).map(|above| above.join("target/policies")));
    }
    dirs.sort();
    dirs.dedup();
    let inside = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten();
    let inside = inside.filter_map(|entry| Some(entry.ok()?.path()));
    let changed = |file: PathBuf| {
        let at = std::fs::metadata(&file).and_then(|metadata| metadata.modified()).ok();
        (file, at)
    };
    fixtures.into_iter().chain(inside).map(changed).collect()
}
