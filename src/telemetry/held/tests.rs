//! Tests of what is held back.

use super::*;

fn held(max: usize) -> (Arc<Pipeline>, Arc<Room>, Arc<Held>) {
    let pipeline = Arc::new(Pipeline::new(4096, 512));
    let room = Arc::new(Room { used: AtomicUsize::new(0), max });
    let Outlet::Held(held) = Outlet::held(&pipeline, &room) else { unreachable!() };
    (pipeline, room, held)
}

fn push(held: &Held, bytes: usize) {
    held.push(|out| out.extend(std::iter::repeat_n(7, bytes)));
}

fn exported(pipeline: &Pipeline) -> (u32, usize) {
    let chunks = pipeline.drain(false);
    (chunks.iter().map(|chunk| chunk.spans).sum(), chunks.iter().map(|chunk| chunk.bytes.len()).sum())
}

#[test]
fn what_is_held_back_goes_the_way_that_the_end_decides() {
    for is_kept in [true, false] {
        let (pipeline, room, held) = held(MAX_HELD_IN_ALL);
        push(&held, 100);
        push(&held, 50);
        assert_eq!(exported(&pipeline), (0, 0));
        assert_eq!(room.used.load(Relaxed), 150 + 2 * PER_SPAN);
        held.settle(is_kept);
        held.settle(!is_kept);
        push(&held, 3);
        assert_eq!(exported(&pipeline), if is_kept { (3, 153) } else { (0, 0) });
        assert_eq!(room.used.load(Relaxed), 0);
        assert_eq!(pipeline.totals().ended, if is_kept { 3 } else { 0 });
    }
}

#[test]
fn a_request_holds_back_no_more_than_it_may() {
    let (pipeline, room, held) = held(MAX_HELD_IN_ALL);
    for _ in 0..20 {
        push(&held, MAX_HELD / 10);
    }
    assert!(room.used.load(Relaxed) <= MAX_HELD);
    held.settle(true);
    let totals = pipeline.totals();
    assert_eq!((exported(&pipeline).0, totals.dropped.held_full, totals.ended), (9, 11, 20));
}

#[test]
fn all_together_hold_back_no_more_than_they_may() {
    let (pipeline, room, first) = held(1000);
    let Outlet::Held(second) = Outlet::held(&pipeline, &room) else { unreachable!() };
    push(&first, 900);
    push(&second, 900);
    push(&second, 50);
    assert_eq!(room.used.load(Relaxed), 950 + 2 * PER_SPAN);
    first.settle(false);
    push(&second, 900);
    second.settle(true);
    let totals = pipeline.totals();
    assert_eq!((exported(&pipeline), totals.dropped.held_full), ((2, 950), 1));
    assert_eq!(room.used.load(Relaxed), 0);
}

#[test]
fn what_was_dropped_of_a_request_counts_only_if_it_is_exported() {
    for is_kept in [true, false] {
        let (pipeline, _, held) = held(0);
        let outlet = Outlet::Held(Arc::clone(&held));
        let early = outlet.counters(&pipeline);
        Counters::add(&early.events, 2u32);
        push(&held, 1);
        held.settle(is_kept);
        Counters::add(&early.events, 1u32);
        Counters::add(&outlet.counters(&pipeline).links, 1u32);
        drop((outlet, held));
        let totals = pipeline.totals();
        let counted = (totals.events_dropped, totals.links_dropped, totals.dropped.held_full);
        assert_eq!(counted, if is_kept { (3, 1, 1) } else { (0, 0, 0) });
    }
}

#[test]
fn an_error_says_more_than_slowness_and_slow_is_longer_than_the_limit() {
    let rules = |errors, slow: Option<u64>| KeepRules { errors, slow: slow.map(Duration::from_nanos) };
    assert!(!rules(false, None).are_any() && rules(true, None).are_any() && rules(false, Some(1)).are_any());
    for (rules, has_failed, expected) in [
        (rules(true, Some(10)), true, Some(Reason::Error)),
        (rules(true, Some(10)), false, Some(Reason::Slow)),
        (rules(false, Some(10)), true, Some(Reason::Slow)),
        (rules(true, Some(11)), false, None),
        (rules(true, None), false, None),
        (rules(false, None), true, None),
    ] {
        assert_eq!(rules.reason(has_failed, 11), expected, "{rules:?}");
    }
}
