//! Which effects a record of some kind may have.

use crate::record::Kind;
use sigwarden_core::state::Effect;

/// The kinds of records that an effect may be in.
pub(super) fn belongs(effect: &Effect, kind: Kind) -> bool {
    match effect {
        Effect::Floor { .. } => matches!(kind, Kind::Decision | Kind::Floor),
        Effect::Bucket { .. } | Effect::Watermark { .. } | Effect::Store { .. } | Effect::Use { .. } => kind == Kind::Decision,
        Effect::FloorSignature { .. } => kind == Kind::Outcome,
        Effect::KeyPinned { .. } => kind == Kind::PublicKey,
        Effect::KeyState { .. } => kind == Kind::Lifecycle,
        Effect::PolicyInstance { .. } => kind == Kind::PolicySet,
        Effect::Request { .. } | Effect::RequestForgotten { .. } => matches!(kind, Kind::Decision | Kind::Replay),
        Effect::RequestSigned { .. } => kind == Kind::Outcome,
        Effect::ClockAccepted { .. } => kind == Kind::Clock,
    }
}

/// Its name in a record.
pub(super) fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Bucket { .. } => "bucket",
        Effect::Watermark { .. } => "watermark",
        Effect::Store { .. } => "store",
        Effect::Floor { .. } => "floor",
        Effect::FloorSignature { .. } => "floor-signature",
        Effect::Use { .. } => "use",
        Effect::KeyPinned { .. } => "key-pinned",
        Effect::KeyState { .. } => "key-state",
        Effect::PolicyInstance { .. } => "policy-instance",
        Effect::Request { .. } => "request",
        Effect::RequestSigned { .. } => "request-signed",
        Effect::RequestForgotten { .. } => "request-forgotten",
        Effect::ClockAccepted { .. } => "clock-accepted",
    }
}
