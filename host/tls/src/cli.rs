//! `sigwarden certs new`, `certs issue` and `certs show`: arguments, and what is done with them.

use crate::ca::{self, CaError, IssuedName, Kind, Made, Request};
use crate::certificate::{Facts, facts, utc};
use crate::files::FileError;
use crate::material::{TlsError, now};
use crate::text::shown;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// `sigwarden certs`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Certs {
    /// Make a private CA: ca.key, which belongs off this machine, and ca.crt
    New(New),
    /// Issue a certificate with a new key, for a listener or for a caller
    Issue(Issue),
    /// Show what a certificate says; exit code 1 if it is not valid now
    Show(Show),
}

/// `sigwarden certs new`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sigwarden certs new --ca ca --name \"Example validators\"\n  sigwarden certs show ca/ca.crt")]
pub struct New {
    /// Where the CA goes; made with mode 0700
    #[arg(long, value_name = "FOLDER", default_value = "ca")]
    pub ca: PathBuf,
    /// The CA's name, in its certificate: 1 to 64 characters
    #[arg(long, default_value = "Sigwarden private CA")]
    pub name: String,
    /// How long it is valid
    #[arg(long, default_value_t = ca::AUTHORITY_DAYS)]
    pub days: u32,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum IssueKind {
    /// A listener
    Server,
    /// A caller
    Client,
}

/// `sigwarden certs issue`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  sigwarden certs issue server signer.example 10.0.0.5 --out signer      signer.crt, signer.key\n  sigwarden certs issue client node-a.example --days 30 --out node-a\n  sigwarden certs issue client spiffe://example/node-a --out node-a      [[client]] san = [\"spiffe://example/node-a\"]"
)]
pub struct Issue {
    /// What it is for
    pub kind: IssueKind,
    /// Its names: DNS names, URIs, and a server's IP addresses
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// The CA
    #[arg(long, value_name = "FOLDER", default_value = "ca")]
    pub ca: PathBuf,
    /// How long it is valid; it never outlives the CA
    #[arg(long, default_value_t = ca::CERTIFICATE_DAYS)]
    pub days: u32,
    /// Where it goes: OUT.crt, and its key to OUT.key [default: the kind, in this folder]
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// `sigwarden certs show`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  sigwarden certs show signer.crt\n  sigwarden certs show signer.crt --json | jq -r '.certificates[0].not_after'"
)]
pub struct Show {
    /// PEM, of one certificate or several
    pub file: PathBuf,
}

/// What a command has to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// For machines.
    pub json: Value,
    /// For people.
    pub text: String,
    /// Something is wrong with what was looked at: exit code 1.
    pub problem: bool,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// A name.
    #[error(transparent)]
    Name(#[from] crate::NameError),
    /// The CA, or what was to be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// What was to be shown.
    #[error(transparent)]
    Show(#[from] TlsError),
}

impl CertsError {
    /// Exit code: 1 if what was asked for is refused, 2 if it could not be tried.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let (Self::Ca(CaError::File(file) | CaError::Authority(TlsError::File(file))) | Self::Show(TlsError::File(file))) = self else {
            return 1;
        };
        match file {
            FileError::Missing(_) | FileError::Io { .. } => 2,
            FileError::Exists(_)
            | FileError::SymbolicLink(_)
            | FileError::NotRegular(_)
            | FileError::Mode { .. }
            | FileError::Owner { .. }
            | FileError::TooLarge(_)
            | FileError::NotText(_) => 1,
        }
    }
}

/// Runs one of them.
///
/// # Errors
/// [`CertsError`], with its exit code.
pub fn run(command: &Certs) -> Result<Answer, CertsError> {
    match command {
        Certs::New(arguments) => new(arguments),
        Certs::Issue(arguments) => issue(arguments),
        Certs::Show(arguments) => show(arguments),
    }
}

fn new(arguments: &New) -> Result<Answer, CertsError> {
    let made = ca::new(&arguments.ca, &arguments.name, arguments.days)?;
    let text = format!(
        "{} and {}\n{}\nThe key makes callers: whoever has it may ask for signatures. Keep {} off this machine, and take only {} to the others.",
        made.certificate.display(),
        made.key.display(),
        human(&made.facts, now()),
        made.key.display(),
        ca::CERTIFICATE,
    );
    Ok(answer_made(&made, text))
}

fn issue(arguments: &Issue) -> Result<Answer, CertsError> {
    let (kind, word) = match arguments.kind {
        IssueKind::Server => (Kind::Server, "server"),
        IssueKind::Client => (Kind::Client, "client"),
    };
    let request = Request {
        kind,
        names: arguments
            .names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<Vec<IssuedName>, _>>()?,
        days: arguments.days,
        out: arguments.out.clone().unwrap_or_else(|| word.into()),
    };
    let made = ca::issue(&arguments.ca, &request)?;
    let text = format!(
        "{} and {}\n{}",
        made.certificate.display(),
        made.key.display(),
        human(&made.facts, now())
    );
    Ok(answer_made(&made, text))
}

fn answer_made(made: &Made, text: String) -> Answer {
    let mut json = machine(&made.facts, now());
    if let Value::Object(fields) = &mut json {
        fields.insert("certificate".to_owned(), json!(made.certificate));
        fields.insert("key_file".to_owned(), json!(made.key));
    }
    Answer {
        json,
        text,
        problem: false,
    }
}

fn show(arguments: &Show) -> Result<Answer, CertsError> {
    let (all, now) = (facts(&arguments.file)?, now());
    let certificates: Vec<Value> = all.iter().map(|facts| machine(facts, now)).collect();
    let text: Vec<String> = all.iter().map(|facts| human(facts, now)).collect();
    Ok(Answer {
        json: json!({ "file": arguments.file, "certificates": certificates }),
        text: text.join("\n"),
        problem: all.iter().any(|facts| state(facts, now) != "valid"),
    })
}

fn state(facts: &Facts, now: u64) -> &'static str {
    if now >= facts.not_after {
        "expired"
    } else if now < facts.not_before {
        "not yet valid"
    } else {
        "valid"
    }
}

fn usage(facts: &Facts) -> Vec<&'static str> {
    let all = [(facts.authority, "ca"), (facts.server, "server"), (facts.client, "client")];
    all.into_iter().filter_map(|(may, what)| may.then_some(what)).collect()
}

fn machine(facts: &Facts, now: u64) -> Value {
    json!({
        "subject": facts.subject,
        "issuer": facts.issuer,
        "serial": facts.serial,
        "names": facts.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "not_before": utc(facts.not_before),
        "not_after": utc(facts.not_after),
        "state": state(facts, now),
        "key": facts.key,
        "fingerprint": facts.fingerprint.to_string(),
        "usage": usage(facts),
    })
}

/// Of a certificate that anybody may have made: what could move the terminal's cursor is escaped.
fn human(facts: &Facts, now: u64) -> String {
    let names: Vec<String> = facts.names.iter().map(ToString::to_string).collect();
    let left = facts.not_after.saturating_sub(now) / (24 * 60 * 60);
    let state = match state(facts, now) {
        "valid" => format!("{left} days left"),
        other => other.to_uppercase(),
    };
    let mut text = String::new();
    for (name, value) in [
        ("subject", facts.subject.clone()),
        ("names", names.join(", ")),
        ("issuer", facts.issuer.clone()),
        ("valid", format!("{} to {}, {state}", utc(facts.not_before), utc(facts.not_after))),
        ("for", usage(facts).join(", ")),
        ("key", facts.key.clone()),
        ("serial", facts.serial.clone()),
        ("sha256", facts.fingerprint.to_string()),
    ] {
        let value = if value.is_empty() { "none" } else { &value };
        let _ = writeln!(text, "  {name:<8} {}", shown(value));
    }
    text
}
