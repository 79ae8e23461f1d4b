use super::*;

/// Tests elsewhere write public keys down: a seed gives the same ones for good.
#[test]
fn a_seed_gives_the_same_keys_for_good() {
    let known = |scheme| hex::encode(public_key("seed", "label", scheme));
    assert_eq!(
        known(Scheme::Secp256k1Ecdsa),
        "02aada2a50bc3325cf6f9a2b993c24e683b5275ecebf7d997ad12c17b3f99ac837"
    );
    assert_eq!(
        known(Scheme::Ed25519),
        "bf8edd3dcb769ec6dc8be9d531b7f8ca5876511489b3ac30d970ea45b7f29a54"
    );
    let ml_dsa = public_key("seed", "label", Scheme::MlDsa44);
    assert_eq!(
        (ml_dsa.len(), blake3::hash(&ml_dsa).to_hex().as_str()),
        (1312, "affe83185ae4fd255b1c95dce6d394a8f81afba6716658acd56076fbf24c8bb5")
    );
}

/// FIPS 186-5 §6.4.1: the leftmost bits; zeros before what is shorter.
#[test]
fn a_digest_is_cut_and_filled_on_the_left() {
    let of = |data: &[u8]| *digest(data).as_ref();
    assert_eq!(of(&[7; 32]), [7; 32]);
    assert_eq!(of(&[[7; 32], [8; 32]].concat()), [7; 32]);
    let mut filled = [0; 32];
    filled[31] = 7;
    assert_eq!(of(&[7]), filled);
}
