//! Backends and tokens on the command line.

use super::super::output::{Output, Style};
use crate::proto::admin::BackendStatus;
use serde_json::json;

/// Prints backends and their tokens.
pub(super) fn backends(backends: &[BackendStatus], output: &Output) {
    let token = |token: &crate::proto::admin::TokenStatus| {
        json!({
            "label": token.label, "state": token.state, "detail": token.detail, "library": token.library, "slot": token.slot,
            "manufacturer": token.manufacturer, "model": token.model, "serial": token.serial,
            "library_description": token.library_description, "library_version": token.library_version,
            "sessions_in_use": token.sessions_in_use, "sessions": token.sessions,
        })
    };
    let backend = |backend: &BackendStatus| {
        json!({
            "name": backend.name, "kind": backend.kind, "schemes": backend.schemes, "generates": backend.generates,
            "derives": backend.derives, "exports": backend.exports, "rotates": backend.rotates,
            "tokens": backend.tokens.iter().map(token).collect::<Vec<_>>(),
            "sign_success": backend.sign_success, "sign_errors": backend.sign_errors,
            "last_latency_us": backend.last_latency_micros, "failovers": backend.failovers,
        })
    };
    output.print(&backends.iter().map(backend).collect(), || {
        let mut text = String::new();
        for backend in backends {
            let abilities = [
                (backend.generates, "generates"),
                (backend.derives, "derives"),
                (backend.exports, "exports"),
                (backend.rotates, "rotates"),
            ];
            let able: Vec<&str> = abilities.iter().filter(|(able, _)| *able).map(|(_, what)| *what).collect();
            let able = if able.is_empty() {
                "uses keys only".to_owned()
            } else {
                able.join(", ")
            };
            text.push_str(&format!(
                "{}  {}  {able}\n  schemes: {}\n",
                output.style(Style::Strong, &backend.name),
                backend.kind,
                backend.schemes.join(", ")
            ));
            for token in &backend.tokens {
                let style = if token.state == "ready" { Style::Good } else { Style::Bad };
                text.push_str(&format!("  token {}: {}\n", token.label, output.style(style, &token.detail)));
                // A token that was never seen says nothing of itself.
                if !token.manufacturer.is_empty() || !token.library_description.is_empty() {
                    text.push_str(&format!(
                        "    {} {} {}, slot {}, {} of {} sessions in use\n    library {} ({} {})\n",
                        token.manufacturer,
                        token.model,
                        token.serial,
                        token.slot,
                        token.sessions_in_use,
                        token.sessions,
                        token.library,
                        token.library_description,
                        token.library_version
                    ));
                } else {
                    text.push_str(&format!("    library {}\n", token.library));
                }
            }
            if let Some(signed) = backend.sign_success {
                let errors: u64 = backend.sign_errors.values().sum();
                text.push_str(&format!(
                    "  {signed} signed, {errors} failed, {} failovers; the last took {} us\n",
                    backend.failovers, backend.last_latency_micros
                ));
            }
        }
        if text.is_empty() {
            "no backend is open here; ask while the daemon runs\n".to_owned()
        } else {
            text
        }
    });
}
