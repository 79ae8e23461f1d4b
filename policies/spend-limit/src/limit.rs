//! One limit: what it counts, and in which bucket.

use crate::Spend;
use sigwarden_guest::prelude::*;
use sigwarden_guest::{AllOr, Denied, KeyPattern, Label, Period, Problems, Rate, Scale, state_name};

/// What may be spent of one asset.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Limit {
    /// Names its buckets; unique. A renamed limit starts with full buckets.
    pub name: Label,
    /// The chain.
    pub chain_id: u64,
    /// The ERC-20 token; the chain's own coin if left out.
    #[serde(default)]
    pub token: Option<Address>,
    /// What may be spent at once, and then again in each `period`: in the asset's smallest unit, such as wei.
    pub amount: U256,
    /// The time in which the whole amount comes back, evenly: `1d`.
    pub period: Period,
    /// What has an amount of its own: each key, caller, recipient, or a combination. Empty for one that all share.
    #[serde(default)]
    pub per: Vec<Scope>,
    /// Counts what the gas may cost at most, too: gas limit by fee cap. For the chain's own coin only.
    #[serde(default)]
    pub count_fees: bool,
    /// Only for these recipients (of a transfer or approval); all if left out.
    #[serde(default)]
    pub recipients: AllOr<Address>,
    /// Only for these keys: `namespace.key_id`, `namespace.*`; all if left out.
    #[serde(default)]
    pub keys: AllOr<KeyPattern>,
    /// Only for these callers; all if left out.
    #[serde(default)]
    pub callers: AllOr<String>,
    /// What the amount is counted in, chosen by it.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    pub(crate) scale: Scale,
}

/// What has an amount of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Each key, whatever its version.
    Key,
    /// Each caller.
    Caller,
    /// Each recipient, whoever pays it.
    Recipient,
}

impl Limit {
    /// Chooses the scale and says what is wrong.
    pub(crate) fn prepare(&mut self, problems: &mut Problems) {
        let twice = |scope: &Scope| self.per.iter().filter(|other| *other == scope).count() > 1;
        problems.when(self.per.iter().any(twice), "per", "a scope is listed twice");
        let foreign = self.count_fees && self.token.is_some();
        problems.when(foreign, "count_fees", "gas is paid in the coin: a limit without `token`");
        let scale = Scale::of(self.amount);
        problems.when(scale.is_none(), "amount", "an amount of 0 allows nothing; 1 or more is right");
        self.scale = scale.unwrap_or_default();
    }

    pub(crate) fn matches(&self, spend: &Spend, request: &Request) -> bool {
        (self.chain_id, self.token) == (spend.chain_id, spend.token)
            && self.recipients.any(|recipient| Some(*recipient) == spend.recipient)
            && self.keys.any(|pattern| pattern.matches(&request.key.name))
            && self.callers.any(|caller| *caller == request.caller)
    }

    /// Takes what is spent out of the bucket.
    pub(crate) fn take(&self, spend: &Spend, request: &Request, host: &mut Host) -> Result<(), Denied> {
        let fees = if self.count_fees { spend.fees } else { U256::ZERO };
        let spent = spend.amount.checked_add(fees).unwrap_or(U256::MAX);
        if spent == U256::ZERO {
            return Ok(());
        }
        let (name, amount, period, asset) = (&self.name, self.amount, self.period, spend.asset());
        let Some(cost) = self.scale.units(spent) else {
            let message = format!("this spends {spent} of {asset}, and limit `{name}` never allows more than {amount} at once");
            return Err(Denied::because("too-large", message));
        };
        let scopes: Vec<String> = self.per.iter().map(|scope| scope.value(spend, request)).collect();
        let parts: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let (capacity, period_ms) = (self.scale.capacity(), period.milliseconds());
        let taken = host.take(&state_name(name.as_str(), &parts), cost, Rate { capacity, period_ms });
        taken.map(|_| ()).map_err(|exceeded| {
            let left = self.scale.amount(exceeded.remaining);
            let whose = if parts.is_empty() { "all requests" } else { &scopes.join(", ") };
            let message =
                format!("limit `{name}` allows {amount} of {asset} in {period} for {whose}; {left} left, and this spends {spent}");
            Denied::until("exceeded", message, exceeded.retry_at)
        })
    }
}

impl Scope {
    fn value(self, spend: &Spend, request: &Request) -> String {
        match self {
            Self::Key => request.key.name.clone(),
            Self::Caller => request.caller.clone(),
            Self::Recipient => spend.recipient.map_or("a new contract".to_owned(), |address| address.to_string()),
        }
    }
}
