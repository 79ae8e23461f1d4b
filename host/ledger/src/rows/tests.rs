//! Every entry comes back from its row; what is gone leaves none.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::checkpoint::Dirty;
use crate::testing;

#[test]
fn every_kind_of_entry_comes_back_and_a_removed_one_does_not() {
    let mut state = State::default();
    let effects = testing::one_of_each();
    for effect in &effects {
        state.apply(effect);
    }
    let mut again = State::default();
    for row in all(&state) {
        let (key, value) = row.unwrap();
        Entry::read(&key, &value.unwrap()).unwrap().put(again.maps_mut());
    }
    testing::assert_same(&again, &state);
    assert!(again.storage.values().all(|stored| stored.version != 0));

    let removal = testing::removal();
    state.apply(&removal);
    assert_eq!(Touched::By(removal).now(&state).unwrap().unwrap().1, None);
    assert!(Entry::read(b"zx", b"").is_none());
}

fn given(tag: u8, at_ms: u64) -> Effect {
    Effect::Request {
        tag: RequestTag([tag; 32]),
        version: 1,
        identity: [1; 32],
        payload: [2; 32],
        decision: DecisionId([3; 16]),
        at_ms,
    }
}

/// What a checkpoint holds after these effects, one checkpoint for each group.
fn rows_after(groups: &[&[Effect]]) -> (std::collections::BTreeMap<Vec<u8>, Vec<u8>>, State) {
    let (mut rows, mut state) = (std::collections::BTreeMap::new(), State::default());
    for group in groups {
        let mut dirty = Dirty::NOTHING;
        group.iter().for_each(|effect| dirty.apply(effect.clone(), &mut state));
        let Dirty::Rows(touched) = dirty else { continue };
        for row in &touched {
            match row.now(&state).unwrap() {
                Some((key, Some(value))) => drop(rows.insert(key, value)),
                Some((key, None)) => drop(rows.remove(&key)),
                None => {}
            }
        }
    }
    (rows, state)
}

/// Given, forgotten and given again, in one checkpoint or over several, at one time or another: what was noted is what there is.
#[test]
fn request_ids_lie_by_their_time_and_leave_no_row_behind() {
    let signed = Effect::RequestSigned {
        tag: RequestTag([1; 32]),
        signatures: Vec::new(),
    };
    let forgotten = Effect::RequestForgotten { tag: RequestTag([1; 32]) };
    let steps = [given(1, 5), given(2, 4), signed, forgotten, given(1, 5), given(1, 9), given(3, 7)];
    for cuts in 0..(1_u32 << steps.len()) {
        let mut groups: Vec<&[Effect]> = Vec::new();
        let mut begin = 0;
        for end in 1..=steps.len() {
            if end == steps.len() || cuts & (1 << end) != 0 {
                groups.push(&steps[begin..end]);
                begin = end;
            }
        }
        let (rows, state) = rows_after(&groups);
        let whole: std::collections::BTreeMap<_, _> = all(&state)
            .map(|row| row.unwrap())
            .map(|(key, value)| (key, value.unwrap()))
            .collect();
        assert_eq!(rows, whole);
        let times: Vec<u64> = rows.keys().map(|key| u64::from_be_bytes(key[1..9].try_into().unwrap())).collect();
        assert_eq!(times, [4, 7, 9]);
    }
}

#[test]
fn a_request_id_of_the_first_version_is_read_and_one_under_another_time_is_not() {
    let mut state = State::default();
    state.apply(&given(1, 5));
    let (key, value) = request(&state, RequestTag([1; 32]), 5).unwrap();
    let value = value.unwrap();
    let mut again = State::default();
    Entry::read(&tagged(REQUEST_1, &[1; 32]), &value).unwrap().put(again.maps_mut());
    testing::assert_same(&again, &state);
    let mut elsewhere = key.clone();
    elsewhere[8] ^= 1;
    assert!(Entry::read(&key, &value).is_some());
    assert!(Entry::read(&elsewhere, &value).is_none());
}
