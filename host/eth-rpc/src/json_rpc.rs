//! JSON-RPC 2.0 over HTTP: calls, batches, notifications and errors.
//!
//! Whatever a call comes to, the status is 200: clients read the error of no other. A notification has no answer, so nothing is signed
//! for it.

use crate::fields::{Fields, Problem, elements, shown, text};
use crate::gate;
use crate::message;
use crate::method::{METHODS, Plan, plan};
use crate::refused;
use crate::signature::Signature;
use crate::{Ask, Endpoint, Listed, checksummed};
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sigwarden_core::{Code, RawSignature, Refusal};

/// Calls of a batch. They are answered one after the other, so a batch holds its connection this many times as long.
const BATCH_MAX: usize = 100;

/// Elements of `params`: no method takes more than three.
const PARAMS_MAX: usize = 8;

/// Bytes of an `id`, which is returned as it came.
const ID_BYTES_MAX: usize = 256;

/// What geth takes, and nothing that a browser sends to another site without asking it first.
const MEDIA_TYPES: [&str; 3] = ["application/json", "application/json-rpc", "application/jsonrequest"];

/// Why a call has no result.
enum Failure {
    /// The body is no JSON.
    Parse(String),
    /// It is JSON, but no call.
    Request(Problem),
    /// There is no such method.
    Method(String),
    /// The method does not take that.
    Params(Problem),
    /// The signer refused.
    Refused(Refusal),
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Serialize)]
struct ErrorObject {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

/// Answers `POST /`.
pub(crate) async fn answer<B, L, C, P, A, F, T>(
    request: &Request<B>,
    endpoint: &Endpoint<'_>,
    list: L,
    ask: A,
    told: T,
) -> Response<Vec<u8>>
where
    B: AsRef<[u8]>,
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
    A: Fn(Ask, P) -> F,
    F: Future<Output = Result<RawSignature, Refusal>>,
    T: Fn(&str, bool),
{
    if !gate::content_type(request, &MEDIA_TYPES) {
        return gate::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be declared as `application/json`",
        );
    }
    if !gate::accepts_json(request) {
        return gate::not_acceptable();
    }
    match body(request.body().as_ref(), endpoint, list, ask, told).await {
        Some(body) => gate::with_body(StatusCode::OK, Some("application/json"), body.into_bytes()),
        None => gate::with_body(StatusCode::NO_CONTENT, None, Vec::new()),
    }
}

async fn body<L, C, P, A, F, T>(bytes: &[u8], endpoint: &Endpoint<'_>, list: L, ask: A, told: T) -> Option<String>
where
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
    A: Fn(Ask, P) -> F,
    F: Future<Output = Result<RawSignature, Refusal>>,
    T: Fn(&str, bool),
{
    // Checks the syntax of the whole, without recursion; what is inside is read one level at a time.
    let parsed = std::str::from_utf8(bytes)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str::<&RawValue>(text).map_err(|error| error.to_string()));
    let raw = match parsed {
        Ok(raw) => raw,
        Err(problem) => return Some(written(None, Err(Failure::Parse(problem)))),
    };
    if !raw.get().starts_with('[') {
        return call(raw, endpoint, &list, &ask, &told).await;
    }
    let calls = match elements("the batch", raw, BATCH_MAX) {
        Ok(calls) if calls.is_empty() => {
            return Some(written(None, Err(Failure::Request(Problem("the batch is empty".into())))));
        }
        Ok(calls) => calls,
        Err(problem) => return Some(written(None, Err(Failure::Request(problem)))),
    };
    let mut answers = Vec::with_capacity(calls.len());
    for raw in calls {
        answers.extend(call(raw, endpoint, &list, &ask, &told).await);
    }
    (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
}

/// Answers one call; none if it is a notification.
async fn call<L, C, P, A, F, T>(raw: &RawValue, endpoint: &Endpoint<'_>, list: &L, ask: &A, told: &T) -> Option<String>
where
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
    A: Fn(Ask, P) -> F,
    F: Future<Output = Result<RawSignature, Refusal>>,
    T: Fn(&str, bool),
{
    let call = match Call::read(raw) {
        Ok(call) => call,
        Err((id, problem)) => return Some(written(id, Err(Failure::Request(problem)))),
    };
    let id = call.id?;
    let result = result(&call, endpoint, list, ask).await;
    told(&call.method, result.is_ok());
    Some(written(Some(id), result))
}

async fn result<L, C, P, A, F>(call: &Call<'_>, endpoint: &Endpoint<'_>, list: &L, ask: &A) -> Result<Value, Failure>
where
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
    A: Fn(Ask, P) -> F,
    F: Future<Output = Result<RawSignature, Refusal>>,
{
    let refused = |refusal| Failure::Refused(refused::alike(refusal));
    let params = match call.params {
        Some(params) => elements("params", params, PARAMS_MAX).map_err(Failure::Params)?,
        None => Vec::new(),
    };
    match plan(&call.method, &params, endpoint).map_err(Failure::Params)? {
        Plan::Unknown => Err(Failure::Method(shown(&call.method))),
        Plan::Result(value) => Ok(value),
        Plan::Addresses => {
            let listed = list().await.map_err(refused)?;
            let addresses = listed.accounts.iter().map(|account| checksummed(&account.address()));
            Ok(addresses.collect())
        }
        Plan::Sign {
            address,
            format,
            payload,
            written,
            no_account,
        } => {
            let Listed { accounts, admitted } = list().await.map_err(refused)?;
            let account_of = |address| accounts.iter().find(|account| account.address() == address);
            if no_account.and_then(account_of).is_some() {
                return Err(Failure::Params(message::swapped()));
            }
            let account = account_of(address).ok_or_else(|| Failure::Refused(refused::unknown_account()))?;
            let key = account.key().to_owned();
            let asked = Ask {
                key,
                format,
                payload: payload.clone(),
            };
            let signature = ask(asked, admitted).await.map_err(refused)?;
            let result = Signature::of(account, format, &payload, &signature).and_then(|signature| written.write(&payload, &signature));
            result.map(Value::from).map_err(Failure::Refused)
        }
    }
}

/// A well-formed call.
struct Call<'a> {
    /// None of a notification.
    id: Option<&'a RawValue>,
    method: String,
    params: Option<&'a RawValue>,
}

impl<'a> Call<'a> {
    /// Reads a call; what is none comes back with its id, if that much is readable.
    fn read(raw: &'a RawValue) -> Result<Self, (Option<&'a RawValue>, Problem)> {
        let mut fields = Fields::open("the call", raw).map_err(|problem| (None, problem))?;
        let id = fields.take_even_null("id");
        if let Some(id) = id {
            check_id(id).map_err(|problem| (None, problem))?;
        }
        Self::rest(id, fields).map_err(|problem| (id, problem))
    }

    fn rest(id: Option<&'a RawValue>, mut fields: Fields<'a>) -> Result<Self, Problem> {
        let version = fields.take("jsonrpc");
        let method = fields.take("method");
        let params = fields.take_even_null("params");
        fields.finish("a JSON-RPC call")?;
        if !version.is_some_and(|version| text("jsonrpc", version).is_ok_and(|version| version == "2.0")) {
            return Err(Problem::at("jsonrpc", "must be \"2.0\""));
        }
        let method = method.ok_or_else(|| Problem::at("method", "is missing"))?;
        if params.is_some_and(|params| !params.get().starts_with(['[', '{'])) {
            return Err(Problem::at("params", "is neither array nor object; leave it out if there are none"));
        }
        Ok(Self {
            id,
            method: text("method", method)?.into_owned(),
            params,
        })
    }
}

fn check_id(id: &RawValue) -> Result<(), Problem> {
    if id.get().len() > ID_BYTES_MAX {
        return Err(Problem::at("id", format_args!("has over {ID_BYTES_MAX} bytes")));
    }
    if id.get() == "null"
        || id
            .get()
            .starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
    {
        return Ok(());
    }
    Err(Problem::at("id", "is neither string, number nor null"))
}

fn written(id: Option<&RawValue>, result: Result<Value, Failure>) -> String {
    let (result, error) = match result {
        Ok(result) => (Some(result), None),
        Err(failure) => (None, Some(failure.object())),
    };
    let answer = Answer {
        jsonrpc: "2.0",
        id,
        result,
        error,
    };
    // Serializing strings and numbers into memory does not fail; if it did, this is still an answer.
    serde_json::to_string(&answer)
        .unwrap_or_else(|_| r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}"#.to_owned())
}

impl Failure {
    /// The standard codes (JSON-RPC 2.0, section 5.1); refusals have -32000, the first of the server's own.
    fn object(self) -> ErrorObject {
        let (code, message, data) = match self {
            Self::Parse(problem) => (-32700, format!("parse error: {problem}"), None),
            Self::Request(problem) => (-32600, format!("invalid request: {problem}"), None),
            // geth's words, by which clients know what they deal with.
            Self::Method(name) => (
                -32601,
                format!("the method {name} does not exist/is not available; this signer has {METHODS}"),
                None,
            ),
            Self::Params(problem) => (-32602, format!("invalid params: {problem}"), None),
            Self::Refused(refusal) => {
                let code = if refusal.kind() == Code::Internal { -32603 } else { -32000 };
                (code, refused::sentence(&refusal), Some(refused::data(&refusal)))
            }
        };
        ErrorObject { code, message, data }
    }
}
