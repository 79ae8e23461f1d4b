//! Answers that do not fit, refuse, or are too large.

use super::*;

#[tokio::test]
async fn an_answer_that_does_not_fit_becomes_an_error_and_no_signature() {
    let key = Answered::PublicKey(PublicKey::Ed25519([1; 32]));
    let short = Answered::Signed {
        signature: vec![8; 65],
        extension_signature: None,
        timestamp: None,
    };
    let plain = || ask_vote(vote(wire::PREVOTE, block(), b""), false);
    let extended = || ask_vote(vote(wire::PRECOMMIT, block(), b""), false);
    let public_key = || Message::from(Sum::PubKeyRequest(PubKeyRequest::default()));
    for (message, answered) in [
        (plain(), key.clone()),
        (plain(), short),
        (plain(), signed_with_extension()),
        (extended(), signed()),
        (public_key(), signed()),
        (raw([b"c", b"raw", b"uid"]), key),
    ] {
        let (response, asked, noted) = exchange(Dialect::Celestia, message, answered).await;
        assert!(asked.is_some());
        assert_eq!(error_of(&response).code, ErrorCode::Internal as i32);
        assert!(matches!(noted, Some(RequestError::UnfitAnswer { .. })));
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_node_and_is_cut_where_it_must() {
    let text = "floor/regression: height 5 is below the watermark 1000/0/precommit".to_owned();
    let refused = |description| Answered::Refused { description };
    let message = || ask_vote(vote(wire::PREVOTE, block(), b""), false);
    let (response, _, noted) = exchange(Dialect::V0_38, message(), refused(text.clone())).await;
    assert_eq!(
        *error_of(&response),
        RemoteSignerError {
            code: 16,
            description: text
        }
    );
    assert_eq!(noted, None, "the caller knows");
    let (response, _, _) = exchange(Dialect::V0_38, message(), refused("é".repeat(1000))).await;
    assert_eq!(error_of(&response).description, "é".repeat(512));
}

#[tokio::test]
async fn an_extension_that_the_node_could_not_read_back_is_refused() {
    let large = vec![7; Dialect::V1.message_max() - 250];
    let (response, _, noted) = exchange(
        Dialect::V1,
        ask_vote(vote(wire::PRECOMMIT, block(), &large), false),
        signed_with_extension(),
    )
    .await;
    assert_eq!(error_of(&response).code, ErrorCode::Internal as i32);
    assert!(noted.unwrap().to_string().contains("is the vote extension too large?"));
    let (response, _, noted) = exchange(
        Dialect::V0_38,
        ask_vote(vote(wire::PRECOMMIT, block(), &large), false),
        signed_with_extension(),
    )
    .await;
    assert_eq!(noted, None);
    assert!(matches!(response.sum, Some(Sum::SignedVoteResponse(response)) if response.vote.as_ref().unwrap().extension == large));
}
