//! The rules of OpenTelemetry's member, one by one, and what must hold for any state.

use super::*;
use proptest::prelude::*;

fn state(text: &str) -> TraceState {
    TraceState::parse(text)
}

/// What becomes of a state when a ratio has decided, or another sampler.
fn told(text: &str, ratio: Option<f64>) -> String {
    let threshold = ratio.map(Threshold::of_ratio);
    state(text).with_threshold(threshold.as_ref()).as_str().to_owned()
}

#[test]
fn a_threshold_is_the_share_that_is_left_out_without_trailing_zeros() {
    for (ratio, expected) in [
        (0.5, "ot=th:8"),
        (0.25, "ot=th:c"),
        (0.75, "ot=th:4"),
        (0.125, "ot=th:e"),
        (0.0625, "ot=th:f"),
        (0.1, "ot=th:e6666666666666"),
        (0.01, "ot=th:fd70a3d70a3d71"),
        (1.0 / 3.0, "ot=th:aaaaaaaaaaaaac"),
        (0.9375, "ot=th:1"),
        (0.99609375, "ot=th:01"),
        // The least that is below 1, and shares that 56 bits are too few for.
        (1.0 - f64::EPSILON / 2.0, "ot=th:00000000000008"),
        (1e-17, "ot=th:ffffffffffffff"),
        (f64::MIN_POSITIVE, "ot=th:ffffffffffffff"),
    ] {
        let threshold = Threshold::of_ratio(ratio);
        assert_eq!(threshold.state.as_str(), expected, "{ratio}");
        assert_eq!(state(expected).as_str(), expected, "it keeps to the rules itself");
        assert!(threshold.admits(RANGE - 1), "{ratio}");
    }
    let half = Threshold::of_ratio(0.5);
    assert!(half.admits(RANGE / 2) && !half.admits(RANGE / 2 - 1));
}

#[test]
fn a_member_that_breaks_a_rule_is_dropped_alone() {
    let long = format!("ot=x:{}", "v".repeat(254));
    for right in [
        "ot=th:0",
        "ot=th:8",
        "ot=th:ffffffffffffff",
        "ot=rv:0123456789abcd",
        "ot=th:8;rv:0123456789abcd",
        "ot=p:8;r:62",
        "ot=foo:Bar.9_-;k1:13",
        "ot=x:",
        &long,
    ] {
        assert_eq!(state(&format!("a=1,{right},b=2")).as_str(), format!("a=1,{right},b=2"));
    }
    for wrong in [
        "ot=th:zz",
        "ot=th:",
        "ot=th:C",
        "ot=th:000000000000000",
        "ot=th:+8",
        "ot=rv:12",
        "ot=rv:0123456789ABCD",
        "ot=rv:0123456789abcde",
        "ot=th:8;rv:12",
        "ot=th:8;th:8",
        "ot=x:1;y:2;x:3",
        "ot=th",
        "ot=8",
        "ot=:8",
        "ot=;",
        "ot=th:8;",
        "ot=;th:8",
        "ot=TH:8",
        "ot=1h:8",
        "ot=t_h:8",
        "ot=th: 8",
        "ot= th:8",
        "ot=x:a b",
        "ot=x:a:b",
        "ot=x:~",
    ] {
        assert_eq!(state(&format!("a=1,{wrong},b=2")).as_str(), "a=1,b=2", "{wrong}");
        assert_eq!(state(wrong).as_str(), "", "{wrong}");
    }
    // Others may be called nearly so.
    for other in ["ot@vendor=th:zz", "o=th:zz", "ott=th:zz", "vendor@ot=rv:12"] {
        assert_eq!(state(other).as_str(), other);
    }
    // Of two the one at the left was changed last.
    assert_eq!(state("ot=th:8,a=1,ot=th:c").as_str(), "ot=th:8,a=1");
    assert_eq!(state("a=1,ot=th:zz,ot=th:c").as_str(), "a=1");
}

#[test]
fn a_decision_replaces_the_threshold_and_nothing_else() {
    let rv = "rv:0123456789abcd";
    for (given, ratio, expected) in [
        ("", Some(0.5), "ot=th:8".to_owned()),
        ("", None, String::new()),
        ("a=1", Some(0.5), "ot=th:8,a=1".into()),
        ("a=1,b=2", None, "a=1,b=2".into()),
        ("a=1,ot=th:c,b=2", Some(0.5), "ot=th:8,a=1,b=2".into()),
        ("a=1,ot=th:8,b=2", Some(0.5), "a=1,ot=th:8,b=2".into()),
        ("a=1,ot=th:c,b=2", None, "a=1,b=2".into()),
        ("ot=th:c", None, String::new()),
        (&format!("a=1,ot={rv}"), Some(0.25), format!("ot=th:c;{rv},a=1")),
        (&format!("a=1,ot=x:1;{rv};th:8"), Some(0.25), format!("ot=th:c;{rv};x:1,a=1")),
        (&format!("a=1,ot=x:1;{rv};th:8"), None, format!("ot={rv};x:1,a=1")),
        (&format!("a=1,ot={rv}"), None, format!("a=1,ot={rv}")),
    ] {
        assert_eq!(told(given, ratio), expected, "{given:?} {ratio:?}");
    }
}

#[test]
fn where_there_is_no_room_others_give_way_from_the_right() {
    let members: Vec<_> = (0..32).map(|n| format!("m{n}={n}")).collect();
    assert_eq!(told(&members.join(","), Some(0.5)), format!("ot=th:8,{}", members[..31].join(",")));
    // Bytes of the whole: long members first, then the last; never ours.
    let long: Vec<_> = (0..31).map(|n| format!("m{n:02}={}", "v".repeat(127))).collect();
    let full = told(&long.join(","), Some(0.5));
    assert!(full.len() <= 4096 && full.starts_with("ot=th:8,m00="), "{}", full.len());
    assert_eq!(full.split(',').count(), 31, "one of 131 bytes had no room beside 8");
    // Of the member itself: random bits stay.
    let rv = "rv:0123456789abcd";
    let entries = format!("x:{};y:1;{rv}", "v".repeat(232));
    assert_eq!(state(&format!("ot={entries}")).as_str().len(), 3 + 256);
    assert_eq!(told(&format!("ot={entries}"), Some(0.1)), format!("ot=th:e6666666666666;{rv};y:1"));
}

#[test]
fn what_is_left_out_is_taken_from_another() {
    let or = |own: &str, other: &str| state(own).or_ot_of(&state(other)).as_str().to_owned();
    assert_eq!(or("", ""), "");
    assert_eq!(or("a=1", "b=2"), "a=1");
    assert_eq!(or("", "b=2,ot=th:8"), "ot=th:8");
    assert_eq!(or("a=1", "b=2,ot=th:8"), "ot=th:8,a=1");
    assert_eq!(or("a=1,ot=th:c", "ot=th:8"), "a=1,ot=th:c");
}

fn any_state() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        "ot=(th:[0-9a-g]{0,15}|rv:[0-9a-f]{13,15}|[a-z]{1,3}:[a-z]{0,200})(;(th:[0-9a-f]{1,14}|rv:[0-9a-f]{14}|[a-z]{1,2}:))?",
        "[a-z]{1,4}=[a-z]{1,250}",
        "[a-z]=1",
    ];
    prop::collection::vec(member, 0..34).prop_map(|members| members.join(","))
}

proptest! {
    #[test]
    fn any_state_stays_within_its_limits(text in any_state(), ratio in 0.0f64..1.0, known: bool) {
        let threshold = known.then(|| Threshold::of_ratio(ratio));
        let before = state(&text);
        let after = before.clone().with_threshold(threshold.as_ref());
        prop_assert_eq!(state(after.as_str()), after.clone(), "it is read as it is written");
        prop_assert!(after.as_str().len() <= 4096 && after.members().count() <= 32);
        prop_assert_eq!(after.randomness(), before.randomness());
        let digits = threshold.as_ref().and_then(|threshold| entry(threshold.state.ot()?, THRESHOLD));
        prop_assert_eq!(after.ot().and_then(|ot| entry(ot, THRESHOLD)), digits);
        prop_assert_eq!(after.clone().with_threshold(threshold.as_ref()), after.clone());
        let others = |state: &TraceState| {
            state.members().filter(|member| !member.starts_with(KEY)).map(str::to_owned).collect::<Vec<_>>()
        };
        let (kept, given) = (others(&after), others(&before));
        prop_assert!(kept.len() + 1 >= given.len() || given.len() > 31 || before.as_str().len() > 3700);
        let mut rest = given.iter();
        prop_assert!(kept.iter().all(|member| rest.any(|other| other == member)), "in their order");
    }
}
