//! `sigwarden check`.

use super::args::Check;
use super::output::{Failure, Output, Style, table};
use crate::check::{Finding, Rule, Severity, Surroundings, examine};
use crate::config::{BackendKind, Config, PassphraseSource};
use crate::deployment::{Backends, Deployment, Looked, OpenError};
use serde_json::json;
use sigwarden_core::Network;
use sigwarden_pkcs11::TokenStatus;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a start would succeed.
enum Start {
    Would,
    Running(String),
    WouldNot(String),
    /// The network refuses; nothing was opened.
    Refused,
}

pub(super) fn run(args: &Check, dir: &Path, output: &Output) -> Result<(), Failure> {
    if args.matrix {
        matrix(output);
        return Ok(());
    }
    let mut config = match Config::load(dir) {
        Ok(config) => config,
        Err(error) => return report_unusable(&error.to_string(), output),
    };
    // The whole rehearsal judges as the network that was asked about.
    let own = config.network;
    config.network = args.network.unwrap_or(own);
    let network = config.network;
    let refuses = |findings: &[Finding]| findings.iter().any(|finding| finding.severity() == Severity::Refuse);
    let mut around = Surroundings::of(&config);
    let mut start = Start::Refused;
    // Tokens are opened once, whoever opens them: a wrong PIN counts.
    match refuses(&examine(&around, network)) {
        true => around.tokens = look_at_tokens(&config),
        false => {
            let mut looked = Looked::default();
            start = try_start(&config, &mut looked)?;
            (around.tokens, around.remotes) = (looked.tokens, looked.remotes);
        }
    }
    let findings = examine(&around, network);
    if refuses(&findings) {
        start = Start::Refused;
    }
    let holds = matches!(start, Start::Would | Start::Running(_));
    let value = json!({
        "deployment": dir,
        "network": network.name(),
        "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
        "running": matches!(start, Start::Running(_)),
        "starts": holds,
        "trouble": match &start { Start::WouldNot(why) => Some(why), Start::Would | Start::Running(_) | Start::Refused => None },
        "not_looked_at": not_looked_at(&start),
    });
    output.print(&value, || human(dir, network, &findings, &start, output));
    if matches!(start, Start::Running(_)) && network != own {
        return Err(Failure::cannot(format!(
            "the daemon runs as {own}, and what it has open cannot be judged as {network} beside it: the passphrase, keys, tokens, remotes and \
             policies; stop it, or check a deployment that is not running"
        )));
    }
    if holds { Ok(()) } else { Err(Failure::said_no()) }
}

/// The tokens of a deployment that is refused anyway, if they can be opened without asking anybody and no daemon has them.
fn look_at_tokens(config: &Config) -> Option<Vec<Vec<TokenStatus>>> {
    let _lock = sigwarden_ledger::DeploymentLock::acquire(&config.state_dir).ok()?;
    let asks = config.backends.iter().any(|backend| match &backend.kind {
        BackendKind::Pkcs11(pkcs11) => pkcs11.tokens.iter().any(|token| token.pin == Some(PassphraseSource::Prompt)),
        BackendKind::SealedFile { .. }
        | BackendKind::Remote(_)
        | BackendKind::Keystore { .. }
        | BackendKind::Env { .. }
        | BackendKind::MockHsm { .. } => false,
    });
    match asks {
        true => None,
        false => Backends::open_tokens(config, None).ok().map(|backends| backends.tokens()),
    }
}

/// What this check cannot speak for.
fn not_looked_at(start: &Start) -> &'static [&'static str] {
    match start {
        // Only a start opens it; the log, which it follows, was read.
        Start::Would => &["checkpoint"],
        Start::Running(_) | Start::Refused => &["keys", "ledger", "policies"],
        // The first step that does not hold ends it.
        Start::WouldNot(_) => &["whatever comes after this"],
    }
}

fn report_unusable(why: &str, output: &Output) -> Result<(), Failure> {
    output.print(&json!({ "starts": false, "trouble": why }), || {
        format!("{}\n{why}", output.style(Style::Bad, "would not start"))
    });
    Err(Failure::said_no())
}

/// Opens what a start would, records nothing, and lets it go.
fn try_start(config: &Config, looked: &mut Looked) -> Result<Start, Failure> {
    // Loading policies leaves compiled code behind; made by another user, it would stop the daemon.
    if let Ok(metadata) = std::fs::metadata(&config.state_dir) {
        let me = rustix::process::geteuid().as_raw();
        if metadata.uid() != me {
            return Err(Failure::cannot(format!(
                "{} belongs to uid {}, and this is uid {me}; check as that user: `sudo -u '#{}' sigwarden check`",
                config.state_dir.display(),
                metadata.uid(),
                metadata.uid()
            )));
        }
    }
    Ok(match Deployment::rehearse(config, looked) {
        Ok(()) => Start::Would,
        Err(OpenError::Lock(error @ sigwarden_ledger::LockError::Held { .. })) => Start::Running(error.to_string()),
        Err(error) => Start::WouldNot(error.to_string()),
    })
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({
        "rule": finding.rule.name(),
        "holds": finding.seen.then_some(finding.violation.is_none()),
        "severity": finding.severity().name(),
        "found": finding.found,
        "wanted": finding.violation.as_ref().map(|violation| &violation.wanted),
        "mend": finding.violation.as_ref().map(|violation| &violation.mend),
    })
}

fn human(dir: &Path, network: Network, findings: &[Finding], start: &Start, output: &Output) -> String {
    let mut text = format!("{} on {network}\n\n", dir.display());
    let mark = |finding: &Finding| match (&finding.violation, finding.severity()) {
        _ if !finding.seen => output.style(Style::Faint, "unseen"),
        (None, _) => output.style(Style::Good, "ok"),
        (Some(_), Severity::Silent) => output.style(Style::Faint, "allowed"),
        (Some(_), Severity::Warn) => output.style(Style::Warning, "warn"),
        (Some(_), Severity::Refuse) => output.style(Style::Bad, "refuse"),
    };
    let mut rows = Vec::new();
    for finding in findings {
        let name = finding.rule.name().to_owned();
        rows.push(vec![mark(finding), name, finding.found.clone()]);
        if let Some(violation) = finding.violation.as_ref().filter(|violation| violation.severity > Severity::Silent) {
            rows.push(vec![String::new(), String::new(), format!("wanted: {}", violation.wanted)]);
            rows.push(vec![String::new(), String::new(), format!("mend:   {}", violation.mend)]);
        }
    }
    text.push_str(&table(&rows));
    text.push('\n');
    match start {
        Start::Refused => text.push_str(&format!("{} on {network}\n", output.style(Style::Bad, "would not start"))),
        Start::Would => text.push_str(&format!("{}\n", output.style(Style::Good, "would start"))),
        Start::Running(why) => text.push_str(&format!(
            "{}: {why}\nthe daemon that holds them looked at keys, ledger and policies when it started\n",
            output.style(Style::Good, "running")
        )),
        Start::WouldNot(why) => text.push_str(&format!("{}\n{why}\n", output.style(Style::Bad, "would not start"))),
    }
    text.push_str(&format!("not looked at: {}\n", not_looked_at(start).join(", ")));
    text
}

fn matrix(output: &Output) {
    let cell = |rule: &Rule, network: &Network| rule.severity(*network);
    let row_json = |rule: &Rule| {
        let cells: serde_json::Map<String, serde_json::Value> = Network::ALL
            .iter()
            .map(|network| (network.name().to_owned(), cell(rule, network).name().into()))
            .collect();
        json!({ "rule": rule.name(), "networks": cells })
    };
    output.print(&Rule::ALL.iter().map(row_json).collect(), || {
        let mut header = vec!["rule".to_owned()];
        header.extend(Network::ALL.iter().map(|network| network.name().to_owned()));
        let mut rows = vec![header];
        for rule in Rule::ALL {
            let mut row = vec![rule.name().to_owned()];
            row.extend(Network::ALL.iter().map(|network| {
                let severity = cell(rule, network);
                let style = match severity {
                    Severity::Silent => Style::Faint,
                    Severity::Warn => Style::Warning,
                    Severity::Refuse => Style::Bad,
                };
                output.style(style, severity.name())
            }));
            rows.push(row);
        }
        table(&rows)
    });
}
