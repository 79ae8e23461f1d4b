//! Effects as we write them: what tells one from another comes first. Read without being kept in between, which serde's own reading of
//! tagged values must do, since a tag may come last. The fields and their spelling are those of [`Effect`]; what is not read here, is
//! read there.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use sigwarden_core::fact::MessageTime;
use sigwarden_core::floor::{Floor, FloorKey, Position, Taken};
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::DecisionId;
use sigwarden_core::request_id::RequestTag;
use sigwarden_core::state::Effect;
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{RawSignature, wire};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// An effect.
pub(crate) struct Written(pub(crate) Effect);

/// A floor.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenFloor {
    position: WrittenPosition,
    #[serde(deserialize_with = "tag_first")]
    taken: Taken,
}

impl From<WrittenFloor> for Floor {
    fn from(WrittenFloor { position, taken }: WrittenFloor) -> Self {
        Self {
            position: position.into(),
            taken,
        }
    }
}

#[derive(serde::Deserialize)]
struct Decimal(#[serde(with = "wire::decimal")] u64);

#[derive(serde::Deserialize)]
struct WrittenPosition([Decimal; 3]);

impl From<WrittenPosition> for Position {
    fn from(WrittenPosition(position): WrittenPosition) -> Self {
        Self(position.map(|Decimal(number)| number))
    }
}

/// A value of several kinds, told by a tag.
trait Tagged: Sized {
    /// The tag's name.
    const TAG: &str;
    /// Reads the fields that follow.
    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error>;
}

fn tag_first<'de, D: Deserializer<'de>, T: Tagged>(deserializer: D) -> Result<T, D::Error> {
    struct TagFirst<T>(PhantomData<T>);
    impl<'de, T: Tagged> Visitor<'de> for TagFirst<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object that begins with `{}`", T::TAG)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
            match map.next_key::<&str>()? {
                Some(key) if key == T::TAG => {
                    let kind = map.next_value::<&str>()?;
                    T::read(kind, map)
                }
                Some(_) | None => Err(A::Error::custom("its tag does not come first")),
            }
        }
    }
    deserializer.deserialize_map(TagFirst(PhantomData))
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tag_first(deserializer).map(Self)
    }
}

fn fields<'de, A: MapAccess<'de>, T: Deserialize<'de>>(rest: A) -> Result<T, A::Error> {
    T::deserialize(MapAccessDeserializer::new(rest))
}

impl Tagged for Taken {
    const TAG: &str = "by";

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Operator {}
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct Message {
            #[serde(with = "wire::array32")]
            identity: [u8; 32],
            #[serde(with = "wire::bytes")]
            sign_bytes: Vec<u8>,
            timestamp: Option<MessageTime>,
            #[serde(with = "wire::optional_bytes", default)]
            signature: Option<Vec<u8>>,
        }
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Extension {
            #[serde(with = "wire::array32")]
            hash: [u8; 32],
        }
        match kind {
            "operator" => fields(rest).map(|Operator {}| Self::Operator),
            "message" => fields(rest).map(|message: Message| Self::Message {
                identity: message.identity,
                sign_bytes: message.sign_bytes,
                timestamp: message.timestamp,
                signature: message.signature,
            }),
            "extension" => fields(rest).map(|Extension { hash }| Self::Extension { hash }),
            other => Err(A::Error::custom(format!("`{other}` is not read so"))),
        }
    }
}

/// The effects of requests. Those of administration are few.
impl Tagged for Effect {
    const TAG: &str = "effect";

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        match kind {
            "bucket" => fields(rest).map(BucketFields::effect),
            "watermark" => fields(rest).map(WatermarkFields::effect),
            "store" => fields(rest).map(StoreFields::effect),
            "floor" => fields(rest).map(FloorFields::effect),
            "floor-signature" => fields(rest).map(FloorSignatureFields::effect),
            "use" => fields(rest).map(|UseFields { key }| Self::Use { key }),
            "request" => fields(rest).map(RequestFields::effect),
            "request-signed" => fields(rest).map(|RequestSignedFields { tag, signatures }| Self::RequestSigned { tag, signatures }),
            "request-forgotten" => fields(rest).map(|RequestForgottenFields { tag }| Self::RequestForgotten { tag }),
            other => Err(A::Error::custom(format!("`{other}` is not read so"))),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BucketFields {
    instance: Arc<str>,
    name: Arc<str>,
    #[serde(with = "wire::decimal")]
    arrival_ns: u64,
}

impl BucketFields {
    fn effect(self) -> Effect {
        Effect::Bucket {
            instance: self.instance,
            name: self.name,
            arrival_ns: self.arrival_ns,
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WatermarkFields {
    instance: Arc<str>,
    name: Arc<str>,
    watermark: Watermark,
}

impl WatermarkFields {
    fn effect(self) -> Effect {
        Effect::Watermark {
            instance: self.instance,
            name: self.name,
            watermark: self.watermark,
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreFields {
    instance: Arc<str>,
    name: Arc<str>,
    #[serde(with = "wire::optional_bytes")]
    value: Option<Vec<u8>>,
}

impl StoreFields {
    fn effect(self) -> Effect {
        Effect::Store {
            instance: self.instance,
            name: self.name,
            value: self.value,
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FloorFields {
    key: FloorKey,
    floor: WrittenFloor,
}

impl FloorFields {
    fn effect(self) -> Effect {
        Effect::Floor {
            key: self.key,
            floor: self.floor.into(),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FloorSignatureFields {
    key: FloorKey,
    position: WrittenPosition,
    #[serde(with = "wire::bytes")]
    signature: Vec<u8>,
}

impl FloorSignatureFields {
    fn effect(self) -> Effect {
        Effect::FloorSignature {
            key: self.key,
            position: self.position.into(),
            signature: self.signature,
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct UseFields {
    key: KeyId,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RequestFields {
    tag: RequestTag,
    version: u32,
    #[serde(with = "wire::array32")]
    identity: [u8; 32],
    #[serde(with = "wire::array32")]
    payload: [u8; 32],
    decision: DecisionId,
    #[serde(with = "wire::decimal")]
    at_ms: u64,
}

impl RequestFields {
    fn effect(self) -> Effect {
        Effect::Request {
            tag: self.tag,
            version: self.version,
            identity: self.identity,
            payload: self.payload,
            decision: self.decision,
            at_ms: self.at_ms,
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestSignedFields {
    tag: RequestTag,
    signatures: Vec<RawSignature>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestForgottenFields {
    tag: RequestTag,
}
