//! `sigwarden policy bench`.

use super::{Outcome, OwnModules, Presentation, WorkbenchError, furnished};
use crate::bench::{self, Latency, Measured};
use crate::library::Library;
use crate::report::{Style, paint};
use crate::suite;
use clap::Args;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

/// How much slower is shown as such: measurements of one machine differ by a tenth.
const SLOWER: f64 = 1.25;

/// Measure what policies cost in each step of their fixtures
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  sigwarden policy bench policies/rate-limit                    latency, fuel and memory, and limits that fit\n  sigwarden policy bench policies --save before.json            keeps the run\n  sigwarden policy bench policies --against before.json         compares with it\n\nExit codes: 0 measured; 2 it could not be measured."
)]
pub struct BenchArgs {
    /// Fixtures, or directories with `fixtures/*.toml` at any depth
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// How often each step is measured
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = super::at_least_one)]
    pub turns: usize,
    /// Keep the run
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Compare with a run that was kept
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Where modules that fixtures name are looked for first; then in `target/policies` around the fixture
    #[arg(long, value_name = "DIR")]
    pub modules: Vec<PathBuf>,
}

/// Measures and prints.
///
/// # Errors
/// It could not be tried.
pub fn bench(
    args: &BenchArgs,
    own: &OwnModules<'_>,
    presentation: Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, WorkbenchError> {
    if let Some(file) = &args.save {
        super::check_writable(file)?;
    }
    let files = suite::find(&args.paths)?;
    let against = args.against.as_deref().map(bench::load).transpose()?;
    let library = furnished(Library::for_measuring(args.modules.clone())?, own, files.first());
    let (prepared, errors) = suite::load(&library, &files, suite::cores());
    for error in &errors {
        writeln!(err, "{error}")?;
    }
    if !errors.is_empty() {
        return Ok(Outcome::NotRun);
    }
    let measured = bench::measure(&prepared, &library, args.turns.max(1))?;
    if presentation.json {
        let json = serde_json::to_string(&measured).map_err(std::io::Error::other)?;
        writeln!(out, "{json}")?;
    } else {
        write!(out, "{}", text(&measured, presentation.colour))?;
    }
    if let Some(against) = &against {
        compare(&measured, against, presentation, out)?;
    }
    if let Some(file) = &args.save {
        bench::save(file, &measured)?;
    }
    out.flush()?;
    Ok(Outcome::Passed)
}

fn text(measured: &Measured, colour: bool) -> String {
    let mut text = String::new();
    let head = format!(
        "{:>11} {:>11} {:>11} {:>9} {:>8}  {}",
        "instantiate", "evaluate", "p99", "fuel", "memory", "policy / fixture / step"
    );
    let _ = writeln!(text, "{}", paint(colour, Style::Strong, &head));
    for step in &measured.steps {
        let _ = writeln!(
            text,
            "{:>8.1} us {:>8.1} us {:>8.1} us {:>9} {:>4} KiB  {} / {} / {}",
            step.instantiate.p50,
            step.evaluate.p50,
            step.evaluate.p99,
            step.fuel,
            step.memory_bytes / 1024,
            step.policy,
            step.fixture,
            step.step
        );
    }
    let beside = |text: &mut String, name: &str, latency: &Latency| {
        let line = format!("{:>11} {:>8.1} us {:>8.1} us  {name}", "", latency.p50, latency.p99);
        let _ = writeln!(text, "{}", paint(colour, Style::Dim, &line));
    };
    beside(&mut text, "the empty policy", &measured.empty);
    beside(&mut text, "one raw secp256k1 signature", &measured.raw_signature);
    for (policy, suggestion) in &measured.suggested {
        let _ = writeln!(
            text,
            "{}: fuel = {}, memory_bytes = {} would fit, with a margin",
            paint(colour, Style::Strong, policy),
            suggestion.fuel,
            suggestion.memory_bytes
        );
    }
    text
}

fn compare(now: &Measured, then: &Measured, presentation: Presentation, out: &mut dyn Write) -> Result<(), WorkbenchError> {
    for compared in bench::compare(now, then) {
        if presentation.json {
            let line = serde_json::json!({
                "step": compared.step,
                "latency": compared.latency,
                "fuel": i64::try_from(compared.fuel).unwrap_or(i64::MAX),
                "memory_bytes": i64::try_from(compared.memory_bytes).unwrap_or(i64::MAX),
            });
            writeln!(out, "{line}")?;
            continue;
        }
        let latency = match compared.latency {
            None => "new".to_owned(),
            Some(ratio) => {
                let style = if ratio > SLOWER { Style::Bad } else { Style::Dim };
                paint(presentation.colour, style, &format!("{ratio:.2} times"))
            }
        };
        writeln!(
            out,
            "{latency}, fuel {:+}, memory {:+} KiB  {}",
            compared.fuel,
            compared.memory_bytes / 1024,
            compared.step
        )?;
    }
    Ok(())
}
