//! The rows' deployments: a real daemon with three policies over a thousand addresses, and what others reach it by.

use crate::address::Address;
use anyhow::{Context, Result, bail};
use sigwarden_tests::payload::{COMETBFT_CHAIN, VALIDATOR};
use sigwarden_tests::{Node, example};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name in the certificate of the benchmarks' client.
const CALLER: &str = "bench.example";

/// The benchmarks' deployment: the rows' three policies with 1,000 addresses, a fourth loaded beside them.
///
/// # Errors
/// `init` or `keys generate` fails.
pub fn node() -> Result<Node> {
    node_with("")
}

/// [`node`], with more tables in its configuration.
///
/// # Errors
/// As [`node`].
pub fn node_with(tables: &str) -> Result<Node> {
    let node = Node::init(|config| example::with_rules(&config, &format!("{tables}\n{}", example::bench_rules())))?;
    for (file, config) in example::bench_files(&crate::policies::addresses(1_000)) {
        let config = match file {
            "payload-rules.json" => with_votes(&config)?,
            _ => config,
        };
        std::fs::write(node.dir().join(file), config)?;
    }
    node.expect(&["keys", "generate", example::MESSAGES])?;
    Ok(node)
}

/// The same rules, and votes of the example chain.
fn with_votes(payload_rules: &str) -> Result<String> {
    let mut rules: serde_json::Value = serde_json::from_str(payload_rules)?;
    let rules = rules.as_object_mut().context("rules are an object")?;
    rules.insert("cometbft".to_owned(), serde_json::json!({ "chain_ids": [COMETBFT_CHAIN] }));
    Ok(serde_json::to_string(rules)?)
}

/// [`node_with`] and a listener of mutual TLS: the node, and where its listener is.
///
/// # Errors
/// As [`node`], or there are no certificates.
pub fn secured(tables: &str) -> Result<(Node, Address)> {
    let port = free_port()?;
    let node = node_with(&format!("{}{tables}", listener(port)))?;
    let certificates = certificates(&node);
    certify(&certificates)?;
    Ok((node, Address::secured(port, &certificates)?))
}

/// A listener of mutual TLS whose certificates are in [`certificates`], and its client.
#[must_use]
pub fn listener(port: u16) -> String {
    format!(
        r#"
[[listener]]
name = "bench"
kind = "grpc"
listen = "127.0.0.1:{port}"
certificate = "certs/server.crt"
key = "certs/server.key"
client_ca = "certs/ca/ca.crt"

[[client]]
name = "bench"
san = ["{CALLER}"]

[[client.allow]]
keys = ["*"]
operations = ["sign", "public-key"]

"#
    )
}

/// Where a node's certificates are, and those of its clients.
#[must_use]
pub fn certificates(node: &Node) -> PathBuf {
    node.dir().join("certs")
}

/// Makes a directory with a CA, a server's certificate for the loopback, and a client's.
///
/// # Errors
/// `sigwarden certs` fails.
pub fn certify(dir: &Path) -> Result<()> {
    std::fs::create_dir(dir)?;
    let path = |name: &str| dir.join(name).display().to_string();
    let (ca, server, client) = (path("ca"), path("server"), path("client"));
    certs(&["new", "--ca", &ca, "--name", "benchmarks"])?;
    certs(&["issue", "server", "localhost", "127.0.0.1", "--ca", &ca, "--out", &server])?;
    certs(&["issue", "client", CALLER, "--ca", &ca, "--out", &client])
}

fn certs(arguments: &[&str]) -> Result<()> {
    let output = Command::new(sigwarden_tests::binary()?).arg("certs").args(arguments).output()?;
    if !output.status.success() {
        bail!(
            "sigwarden certs {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// Tells the validator's floor: it has signed nothing yet.
///
/// # Errors
/// `floors set` fails.
pub fn floor(node: &Node) -> Result<()> {
    let set = ["floors", "set", "--key", VALIDATOR, "--chain-id", COMETBFT_CHAIN];
    node.expect(&[set.as_slice(), &["--height", "0", "--reason", "a benchmark"]].concat())
        .map(|_| ())
}

/// A port that nobody has.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// MiB that a node's daemon has resident.
///
/// # Errors
/// It does not run.
pub fn resident_mib(node: &Node) -> Result<f64> {
    let pid = node.pid().context("a daemon")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = resident.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
