#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::super::frame::FRAME;
use super::*;
use tokio::io::{DuplexStream, duplex};

const LIMIT: Duration = Duration::from_secs(5);

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

/// CometBFT v0.38.26, `p2p/conn/testdata/TestDeriveSecretsAndChallengeGolden.golden`, its first lines of either order: secret, whether the own key
/// is the lower, the key to receive with, the key to send with.
#[test]
fn keys_are_those_of_cometbft_s_golden_file() {
    for (secret, own_is_lower, receive, send) in [
        (
            "9fe4a5a73df12dbd8659b1d9280873fe993caefec6b0ebc2686dd65027148e03",
            true,
            "80a83ad6afcb6f8175192e41973aed31dd75e3c106f813d986d9567a4865eb2f",
            "96362a04f628a0666d9866147326898bb0847b8db8680263ad19e6336d4eed9e",
        ),
        (
            "0716764b370d543fee692af03832c16410f0a56e4ddb79604ea093b10bb6f654",
            false,
            "84f2b1e8658456529a2c324f46c3406c3c6fecd5fbbf9169f60bed8956a8b03d",
            "cba357ae33d7234520d5742102a2a6cdb39b7db59c14a58fa8aadd310127630f",
        ),
    ] {
        let (lower, upper) = keys(&bytes(secret)).unwrap();
        let (found_receive, found_send) = if own_is_lower { (lower, upper) } else { (upper, lower) };
        assert_eq!(hex::encode(*found_receive), receive);
        assert_eq!(hex::encode(*found_send), send);
    }
}

/// tmkms-p2p 0.6.0, `src/test_vectors.rs` and `src/kdf.rs`: Alice's and Bob's ephemeral keys, and how each signs what they share; keys of a secret.
#[test]
fn signed_challenge_and_keys_are_those_of_tmkms() {
    let alice = StaticSecret::from(bytes::<32>("a14d1fe92419d4e23b4007079439b497ae77494ccda0195ac1c70680bb460908"));
    let bob = StaticSecret::from(bytes::<32>("b19aff79f5b8cd2f37d46b19e294364d843b1d820b0ac55ec72e9d4e7e04f041"));
    let (alice_public, bob_public) = (EphemeralPublic::from(&alice), EphemeralPublic::from(&bob));
    for (own, other, secret, identity, signature) in [
        (
            &alice_public,
            &bob_public,
            &alice,
            "a0d068d7c44e951610d54a7eb90279e8a31b61128d44d2dd92311763c468185c",
            "2735eb20c3f2b8d6643d761be7d873427ccbb83fd6f64d04e5cbf8a1fa523422dcbc17fe2fb831fcb378cf17136f19e67defaebbcbc06135df8a7471734e9406",
        ),
        (
            &bob_public,
            &alice_public,
            &bob,
            "b07e65300419ce0b5d7274bcbc67fcfd3fb68272de9aa52a452a6889c7d33fd5",
            "fc9ecf23994aef6a1eae80ebb2fe10ac8784b9ec08cf1d17a19a5d87c1217e11430f955c7f6c213a7f00a9cecd181214c3ffc62b352417c775dec6c93b3d7f0a",
        ),
    ] {
        let challenge = challenge(own, other, &secret.diffie_hellman(other));
        assert_eq!(hex::encode(Identity::from_seed(&bytes(identity)).sign(&challenge)), signature);
    }
    let (lower, upper) = keys(&bytes("d28c3fcbdb42e28d940d3823103d379693c3724a25d96e9f0524a7306b43ca44")).unwrap();
    assert_eq!(
        hex::encode(*lower),
        "6083a1a00e5ea92cdc380c55013f3c87d87ade022666fd5aad4ae3a1530d0885"
    );
    assert_eq!(
        hex::encode(*upper),
        "4de5c254243a6a7b52fafd0b0c4db59175975cd435e99b7f758265aaaeeea063"
    );
}

/// Both ends at once, with everything that goes over the wire in one buffer each.
async fn pair() -> (SecretConnection<DuplexStream>, SecretConnection<DuplexStream>) {
    let (left, right) = duplex(1 << 16);
    let (left, right) = tokio::join!(
        async { SecretConnection::handshake(left, &identity(1), Some(&identity(2).peer_id()), LIMIT).await },
        async { SecretConnection::handshake(right, &identity(2), None, LIMIT).await },
    );
    (left.unwrap(), right.unwrap())
}

#[tokio::test]
async fn what_is_written_arrives_whatever_its_size() {
    let (mut left, mut right) = pair().await;
    assert_eq!(*left.peer(), identity(2).peer_id());
    assert_eq!(*right.peer(), identity(1).peer_id());
    for size in [1, 1023, 1024, 1025, 5000, 200_000] {
        let data: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let write = async {
            left.write_all(&data).await.unwrap();
            left.flush().await.unwrap();
        };
        let mut read = vec![0; size];
        let (_, result) = tokio::join!(write, right.read_exact(&mut read));
        result.unwrap();
        assert_eq!(read, data);
    }
    drop(left);
    assert_eq!(right.read(&mut [0; 8]).await.unwrap(), 0, "the end between two frames is an end");
}

#[tokio::test]
async fn another_peer_than_the_pinned_one_is_refused() {
    let (left, right) = duplex(1 << 16);
    let pinned = identity(3).peer_id();
    let (left, right) = tokio::join!(
        async { SecretConnection::handshake(left, &identity(1), Some(&pinned), LIMIT).await.err() },
        async { SecretConnection::handshake(right, &identity(2), None, LIMIT).await.is_ok() },
    );
    assert!(right);
    let Some(HandshakeError::WrongPeer { pinned: wanted, found }) = left else {
        panic!("{left:?}");
    };
    assert_eq!((wanted, found), (pinned, identity(2).peer_id()));
}

/// A peer that sends these bytes whatever it reads, then is gone.
async fn against(bytes: &[u8]) -> HandshakeError {
    let (mut peer, stream) = duplex(1 << 16);
    peer.write_all(bytes).await.unwrap();
    peer.shutdown().await.unwrap();
    let made = SecretConnection::handshake(stream, &identity(1), None, LIMIT).await;
    made.err().unwrap()
}

fn first_message(key: &[u8; 32]) -> Vec<u8> {
    [&EPHEMERAL_HEAD[..], key].concat()
}

#[tokio::test]
async fn a_peer_that_sends_something_else_is_refused() {
    assert!(matches!(against(b"").await, HandshakeError::Io(_)));
    assert!(matches!(against(b"\x22\x0a\x20short").await, HandshakeError::Io(_)));
    for garbage in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"[..],
        &[0xff; 100],
        &[0; 100],
    ] {
        let error = against(garbage).await;
        assert!(
            matches!(&error, HandshakeError::NoEphemeralKey(head) if *head == hex::encode(&garbage[..3])),
            "{error}"
        );
    }
    let mut frames = first_message(&[9; 32]);
    frames.extend_from_slice(&[0x5a; 3 * FRAME]);
    let error = against(&frames).await;
    assert!(error.to_string().contains("a frame is not the peer's"), "{error}");
}

/// The points of order 1, 2, 4 and 8 on Curve25519 and its twist, and values that are the same modulo 2^255-19 (RFC 7748, section 6.1; the list is
/// that of <https://cr.yp.to/ecdh.html#validate>).
#[tokio::test]
async fn a_point_of_low_order_is_refused() {
    for point in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let error = against(&first_message(&bytes(point))).await;
        assert!(matches!(error, HandshakeError::LowOrderPoint), "{point}: {error}");
    }
}

/// A peer that does the key agreement right and then authenticates with what `lie` makes of the challenge.
async fn authenticated_with(lie: impl Fn([u8; 32]) -> Vec<u8>) -> HandshakeError {
    let (mut stream, other) = duplex(1 << 16);
    let peer = async {
        let ephemeral = StaticSecret::from([42; 32]);
        let own = EphemeralPublic::from(&ephemeral);
        let other = exchange_ephemeral(&mut stream, &own).await.unwrap();
        let shared = ephemeral.diffie_hellman(&other);
        let (receive, send) = ciphers(&shared, own.as_bytes() < other.as_bytes()).unwrap();
        let message = lie(challenge(&own, &other, &shared));
        let mut connection = SecretConnection::new(stream, receive, send);
        connection.write_all(&message).await.unwrap();
        connection.flush().await.unwrap();
        // Until the other end is gone.
        let _ = connection.read(&mut [0; 1]).await;
    };
    let victim = async { SecretConnection::handshake(other, &identity(1), None, LIMIT).await.err() };
    tokio::join!(peer, victim).1.unwrap()
}

fn auth(sum: PublicKeySum, sig: &[u8]) -> Vec<u8> {
    let message = AuthSigMessage {
        pub_key: Some(PublicKey { sum: Some(sum) }),
        sig: sig.to_vec(),
    };
    message.encode_length_delimited_to_vec()
}

#[tokio::test]
async fn a_peer_that_cannot_prove_its_identity_is_refused() {
    let key = || PublicKeySum::Ed25519(identity(2).public_key().to_vec());
    let error = authenticated_with(|_| auth(key(), &identity(2).sign(&[0; 32]))).await;
    assert!(matches!(error, HandshakeError::WrongSignature), "another challenge: {error}");
    let error = authenticated_with(|challenge| auth(key(), &identity(3).sign(&challenge))).await;
    assert!(matches!(error, HandshakeError::WrongSignature), "another's signature: {error}");
    // The neutral element verifies anything, for a verifier that is not strict.
    let neutral = bytes::<32>("0100000000000000000000000000000000000000000000000000000000000000");
    let signature = [neutral, [0; 32]].concat();
    let error = authenticated_with(|_| auth(PublicKeySum::Ed25519(neutral.to_vec()), &signature)).await;
    assert!(matches!(error, HandshakeError::WrongSignature), "a weak key: {error}");

    for (what, message) in [
        ("it is too long", vec![0x80, 1]),
        ("it is no AuthSigMessage", vec![2, 0xff, 0xff]),
        ("its key is not an Ed25519 key", vec![0]),
        (
            "its key is not an Ed25519 key",
            auth(PublicKeySum::Secp256k1(vec![2; 33]), &[0; 64]),
        ),
        ("its key is no point of Ed25519", auth(PublicKeySum::Ed25519(vec![1; 31]), &[0; 64])),
        ("its signature has not 64 bytes", auth(key(), &[0; 63])),
    ] {
        let error = authenticated_with(|_| message.clone()).await;
        assert!(
            matches!(error, HandshakeError::MalformedAuth(found) if found == what),
            "{what}: {error}"
        );
    }
}

/// What a peer can send without any identity of its own: the victim's authentication, sealed the other way.
#[tokio::test]
async fn a_peer_that_sends_one_s_own_authentication_back_is_refused() {
    let own = || PublicKeySum::Ed25519(identity(1).public_key().to_vec());
    let error = authenticated_with(|challenge| auth(own(), &identity(1).sign(&challenge))).await;
    assert!(matches!(error, HandshakeError::OwnIdentity), "{error}");
    assert!(error.to_string().contains("this signer's own"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let (_peer, stream) = duplex(1 << 16);
    let made = SecretConnection::handshake(stream, &identity(1), None, LIMIT).await;
    assert!(matches!(made.err(), Some(HandshakeError::Slow(limit)) if limit == LIMIT));
}

/// What a connection reads when somebody in between sends `tamper` of the frames that came.
async fn read_tampered(tamper: impl Fn(Vec<u8>) -> Vec<u8>) -> (Vec<u8>, io::Error) {
    let (mut left, mut right) = pair().await;
    for word in [&b"one"[..], b"two"] {
        left.write_all(word).await.unwrap();
    }
    left.flush().await.unwrap();
    let mut frames = vec![0; 2 * FRAME];
    right.stream.read_exact(&mut frames).await.unwrap();
    let (mut between, stream) = duplex(1 << 16);
    between.write_all(&tamper(frames)).await.unwrap();
    drop(between);
    right.stream = stream;
    let mut read = Vec::new();
    let error = right.read_to_end(&mut read).await.unwrap_err();
    assert!(right.read(&mut [0; 8]).await.is_err(), "nothing is read after an error");
    (read, error)
}

#[tokio::test]
async fn frames_that_were_changed_repeated_or_left_out_end_the_connection() {
    let authentication = "a frame is not the peer's";
    let (read, error) = read_tampered(|frames| [&frames[..FRAME], &frames[..FRAME]].concat()).await;
    assert_eq!(read, b"one", "repeated: {error}");
    assert!(error.to_string().contains(authentication));
    let (read, error) = read_tampered(|frames| frames[FRAME..].to_vec()).await;
    assert_eq!(read, b"", "left out: {error}");
    assert!(error.to_string().contains(authentication));
    let (read, error) = read_tampered(|mut frames| {
        frames[FRAME + 7] ^= 1;
        frames
    })
    .await;
    assert_eq!(read, b"one", "changed: {error}");
    assert!(error.to_string().contains(authentication));
}

#[tokio::test]
async fn the_end_within_a_frame_is_an_error() {
    let (mut left, mut right) = pair().await;
    left.write_all(b"one").await.unwrap();
    left.flush().await.unwrap();
    let mut frame = vec![0; FRAME - 1];
    right.stream.read_exact(&mut frame).await.unwrap();
    let (mut between, stream) = duplex(1 << 16);
    between.write_all(&frame).await.unwrap();
    drop(between);
    right.stream = stream;
    let error = right.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}
