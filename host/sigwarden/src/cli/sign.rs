//! `sigwarden sign`: a caller like any other, under its own uid.

use super::args::Sign;
use super::output::{Failure, Output, Style, table, time};
use crate::client::{CallError, Client};
use crate::config::Config;
use crate::proto;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};

/// More than any `limits.payload_bytes` allows; the daemon says what it allows.
const PAYLOAD_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(super) fn run(args: Sign, dir: &Path, output: &Output) -> Result<(), Failure> {
    let payload = payload(&args)?;
    let socket = match args.socket {
        Some(socket) => socket,
        None => socket_of(dir)?,
    };
    let request = proto::SignRequest {
        operation: String::new(),
        key: args.key,
        format: args.format,
        payload,
        request_id: args.request_id,
        scheme: args.scheme,
    };
    let call = async { Client::connect(&socket).await?.sign(request).await };
    match block_on(call)? {
        Ok(signed) => {
            output.print(&signed_json(&signed), || signed_human(&signed));
            Ok(())
        }
        Err(CallError::Refused(refusal)) => {
            output.print(&refusal_json(&refusal), || refusal_human(&refusal, output));
            Err(Failure::said_no())
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the deployment's daemon listens.
pub(super) fn socket_of(dir: &Path) -> Result<PathBuf, Failure> {
    match Config::load(dir) {
        Ok(config) => Ok(config.socket),
        Err(error) => Err(Failure::cannot(format!(
            "{error}\n`--socket PATH` names a daemon's socket without its configuration"
        ))),
    }
}

/// Runs one call.
pub(super) fn block_on<T>(call: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(call))
}

fn payload(args: &Sign) -> Result<Vec<u8>, Failure> {
    if let Some(text) = &args.payload.payload_hex {
        let digits: String = text.strip_prefix("0x").unwrap_or(text).split_whitespace().collect();
        return hex::decode(digits).map_err(|error| Failure::cannot(format!("--payload-hex: {error}")));
    }
    let file = args.payload.payload_file.as_deref().unwrap_or(Path::new("-"));
    let failed = |error: std::io::Error| Failure::cannot(format!("{}: {error}", file.display()));
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let mut payload = Vec::new();
    reader.take(PAYLOAD_BYTES_MAX).read_to_end(&mut payload).map_err(failed)?;
    Ok(payload)
}

fn signed_json(signed: &proto::SignResponse) -> serde_json::Value {
    json!({
        "signatures": signed.signatures.iter().map(|signature| json!({
            "signature": hex::encode(&signature.signature),
            "recovery_id": signature.recovery_id,
        })).collect::<Vec<_>>(),
        "public_key": hex::encode(&signed.public_key),
        "key": signed.key,
        "key_version": signed.key_version,
        "scheme": signed.scheme,
        "request_id": signed.request_id,
        "sequence": signed.sequence,
        "timestamp_signed": signed.timestamp_signed.map(|time| json!({ "seconds": time.seconds, "nanos": time.nanos })),
        "replay": signed.replay,
    })
}

fn signed_human(signed: &proto::SignResponse) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    for signature in &signed.signatures {
        row("signature", hex::encode(&signature.signature));
        if let Some(id) = signature.recovery_id {
            row("recovery id", id.to_string());
        }
    }
    row("public key", hex::encode(&signed.public_key));
    row("key", format!("{} ({})", signed.key, signed.scheme));
    row("request", signed.request_id.clone());
    row("sequence", signed.sequence.to_string());
    if let Some(time) = signed.timestamp_signed {
        row("timestamp", format!("{}.{:09}", time.seconds, time.nanos));
    }
    if signed.replay {
        row("replay", "an earlier decision was repeated".to_owned());
    }
    table(&rows)
}

fn refusal_json(refusal: &proto::Refusal) -> serde_json::Value {
    json!({
        "refused": refusal.code,
        "message": refusal.message,
        "denials": refusal.denials.iter().map(|denial| json!({
            "policy": denial.policy,
            "code": denial.code,
            "message": denial.message,
            "retry_at_ms": denial.retry_at_ms,
        })).collect::<Vec<_>>(),
        "retry_at_ms": refusal.retry_at_ms,
    })
}

fn refusal_human(refusal: &proto::Refusal, output: &Output) -> String {
    let mut text = format!(
        "{}  {}\n",
        output.style(Style::Bad, "refused"),
        output.style(Style::Strong, &refusal.code)
    );
    if refusal.denials.is_empty() {
        text.push_str(&format!("  {}\n", refusal.message));
    }
    for denial in &refusal.denials {
        text.push_str(&format!("  {}: {}\n", denial.policy, denial.message));
    }
    if let Some(retry_at) = refusal.retry_at_ms {
        text.push_str(&format!("  retry from {}\n", time(retry_at)));
    }
    text
}
