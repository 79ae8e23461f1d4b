//! `sigwarden policy`.

use super::administer;
use super::args::Policy as Command;
use super::output::{Failure, Output, Style, table};
use crate::config::{Config, Policy};
use crate::deployment::{MODULE_BYTES_MAX, read_module_file};
use crate::embedded;
use crate::proto::admin::{PinPolicyRequest, ReloadPoliciesRequest};
use serde_json::json;
use sha2::{Digest, Sha256};
use sigwarden_component::cli as component;
use sigwarden_workbench::cli as workbench;
use std::path::Path;

mod record;
mod shadow;

pub(super) fn run(command: Command, dir: &Path, output: &Output) -> Result<(), Failure> {
    match command {
        Command::List => list(&Config::load(dir)?, output),
        Command::Inspect { module } => inspect(&module, dir, output),
        Command::New(arguments) => with_streams(output, |streams| component::new(&arguments, streams)),
        Command::Build(arguments) => with_streams(output, |streams| component::build(&arguments, streams)),
        Command::Test(arguments) => {
            let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
            let tested = workbench::test(&arguments, embedded::LIBRARY, presentation(output), &mut out, &mut err);
            Failure::said(tested?.exit_code())
        }
        Command::Bench(arguments) => {
            let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
            let measured = workbench::bench(&arguments, embedded::LIBRARY, presentation(output), &mut out, &mut err);
            Failure::said(measured?.exit_code())
        }
        Command::Record(arguments) => record::run(&arguments, dir, output),
        Command::Pin {
            name,
            embedded,
            allow_downgrade,
        } => {
            let request = PinPolicyRequest {
                name,
                embedded,
                allow_downgrade,
            };
            pin(&Config::load(dir)?, request, output)
        }
        Command::Reload { reason, allow_downgrade } => {
            let config = Config::load(dir).map_err(|error| Failure::no(format!("the policies in force stay: {error}")))?;
            reload(&config, reason, allow_downgrade, output)
        }
        Command::ShadowReport { policy, limit } => shadow::report(&Config::load(dir)?, policy.as_deref(), limit, output),
    }
}

/// How a module on disk stands to its pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pinned {
    Yes,
    No,
    Differs,
    Missing,
}

impl Pinned {
    fn name(self) -> &'static str {
        match self {
            Self::Yes => "pinned",
            Self::No => "unpinned",
            Self::Differs => "differs from its pin",
            Self::Missing => "missing",
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn state_of(policy: &Policy) -> (Pinned, Option<String>) {
    let Ok(wasm) = read_module_file(policy) else {
        return (Pinned::Missing, None);
    };
    let found = sha256(&wasm);
    let state = match policy.sha256 {
        None => Pinned::No,
        Some(pinned) if pinned == found => Pinned::Yes,
        Some(_) => Pinned::Differs,
    };
    (state, Some(hex::encode(found)))
}

fn list(config: &Config, output: &Output) -> Result<(), Failure> {
    let all: Vec<_> = config.policies.iter().map(|policy| (policy, state_of(policy))).collect();
    let to_json = |(policy, (state, found)): &(&Policy, (Pinned, Option<String>))| {
        json!({
            "policy": policy.name,
            "module": policy.module,
            "sha256": found,
            "state": state.name(),
        })
    };
    output.print(&all.iter().map(to_json).collect(), || {
        let mut rows = vec![
            ["POLICY", "MODULE", "STATE", "SHA-256"]
                .map(|name| output.style(Style::Strong, name))
                .to_vec(),
        ];
        rows.extend(all.iter().map(|(policy, (state, found))| {
            let style = match state {
                Pinned::Yes => Style::Good,
                Pinned::No => Style::Warning,
                Pinned::Differs | Pinned::Missing => Style::Bad,
            };
            vec![
                policy.name.clone(),
                policy.module.display().to_string(),
                output.style(style, state.name()),
                found.clone().unwrap_or_default(),
            ]
        }));
        table(&rows)
    });
    if all.iter().any(|(_, (state, _))| matches!(state, Pinned::Differs | Pinned::Missing)) {
        output.note("a start would refuse; if a module was replaced on purpose, `sigwarden policy pin NAME`");
        return Err(Failure::said_no());
    }
    Ok(())
}

fn presentation(output: &Output) -> workbench::Presentation {
    workbench::Presentation {
        json: output.is_json(),
        colour: output.is_coloured(),
    }
}

/// Runs `print` with the process's streams.
fn with_streams(output: &Output, print: impl FnOnce(&mut component::Streams<'_>) -> u8) -> Result<(), Failure> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    Failure::said(print(&mut component::Streams {
        out: &mut out,
        err: &mut err,
        json: output.is_json(),
    }))
}

fn inspect(module: &str, dir: &Path, output: &Output) -> Result<(), Failure> {
    let wasm = module_bytes(module, dir)?;
    with_streams(output, |streams| component::inspect_bytes(module, &wasm, streams))
}

/// A `[[policy]]` of the deployment, one of the binary's own, or a file; in this order.
fn module_bytes(module: &str, dir: &Path) -> Result<Vec<u8>, Failure> {
    if let Ok(config) = Config::load(dir)
        && let Some(policy) = config.policies.iter().find(|policy| policy.name == module)
    {
        return Ok(read_module_file(policy)?);
    }
    if let Some(wasm) = embedded::policy(module) {
        return Ok(wasm.to_vec());
    }
    crate::files::read(Path::new(module), MODULE_BYTES_MAX).map_err(|error| {
        let known: Vec<&str> = embedded::LIBRARY.iter().map(|(name, _)| *name).collect();
        Failure::cannot(format!(
            "{module}: {error}; neither a `[[policy]]` of {} nor one of {}",
            dir.display(),
            known.join(", ")
        ))
    })
}

fn reload(config: &Config, reason: String, allow_downgrade: bool, output: &Output) -> Result<(), Failure> {
    let done = administer(config, |reach| {
        reach.reload_policies(ReloadPoliciesRequest { reason, allow_downgrade })
    })?;
    let policies: Vec<_> = done
        .policies
        .iter()
        .map(|one| json!({ "policy": one.policy, "version": one.version, "sha256": one.sha256, "shadow": one.shadow }))
        .collect();
    let value = json!({ "policies": policies, "changed": done.changed, "removed": done.removed, "rebound": done.rebound, "sequence": done.sequence });
    output.print(&value, || {
        let mut text = format!("{} policies in force  (record {})\n", done.policies.len(), done.sequence);
        for one in &done.policies {
            let changed = match (done.changed.contains(&one.policy), done.rebound.contains(&one.policy)) {
                (true, _) => ", changed",
                (false, true) => ", bound or limited otherwise",
                (false, false) => "",
            };
            let shadow = if one.shadow { ", a shadow" } else { "" };
            text.push_str(&format!("{} {}{shadow}{changed}\n", one.policy, one.version));
        }
        for gone in &done.removed {
            text.push_str(&format!("{gone} is no more\n"));
        }
        text
    });
    Ok(())
}

fn pin(config: &Config, request: PinPolicyRequest, output: &Output) -> Result<(), Failure> {
    let name = request.name.clone();
    let pinned = administer(config, |reach| reach.pin_policy(request))?;
    let value = json!({
        "policy": pinned.policy,
        "sha256": pinned.sha256,
        "version": pinned.version,
        "in_force": pinned.in_force,
        "changed": pinned.changed,
    });
    output.print(&value, || {
        let mut text = format!("pinned {name} {} to {}\n", pinned.version, pinned.sha256);
        if !pinned.in_force {
            text.push_str("in force from the next start; `sigwarden check` says whether that would succeed");
        } else if pinned.changed.is_empty() {
            text.push_str("the daemon runs it already");
        } else {
            text.push_str(&format!("in force in the running daemon; changed: {}", pinned.changed.join(", ")));
        }
        text
    });
    Ok(())
}
