//! Tests of what is held back.

use super::*;

fn room(max: usize) -> Room {
    Room { used: AtomicUsize::new(0), max }
}

fn push(buffer: &mut TailBuffer, room: &Room, bytes: usize) {
    buffer.push(room, |out| out.extend(std::iter::repeat_n(7, bytes)));
}

/// Spans and bytes in the buffers.
fn exported(pipeline: &Pipeline) -> (u32, usize) {
    let chunks = pipeline.drain(false);
    (chunks.iter().map(|chunk| chunk.items).sum(), chunks.iter().map(|chunk| chunk.bytes.len()).sum())
}

#[test]
fn what_is_held_back_goes_the_way_that_the_end_decides() {
    for is_kept in [true, false] {
        let (pipeline, room) = (Pipeline::new(4096, 512), room(MAX_HELD_IN_ALL));
        let mut buffer = TailBuffer::default();
        push(&mut buffer, &room, 100);
        push(&mut buffer, &room, 50);
        assert_eq!(room.used.load(Relaxed), 150 + 2 * PER_SPAN);
        buffer.settle(&room, is_kept.then_some(&pipeline));
        assert_eq!(exported(&pipeline), if is_kept { (2, 150) } else { (0, 0) });
        assert_eq!(room.used.load(Relaxed), 0);
        assert_eq!(pipeline.totals().ended, if is_kept { 2 } else { 0 });
    }
}

#[test]
fn a_request_holds_back_no_more_than_it_may() {
    let (pipeline, room) = (Pipeline::new(4096, 512), room(MAX_HELD_IN_ALL));
    let mut buffer = TailBuffer::default();
    for _ in 0..20 {
        push(&mut buffer, &room, MAX_HELD / 10);
    }
    assert!(room.used.load(Relaxed) <= MAX_HELD);
    buffer.settle(&room, Some(&pipeline));
    let totals = pipeline.totals();
    assert_eq!((exported(&pipeline).0, totals.losses.of(Loss::HeldFull), totals.ended), (9, 11, 20));
}

#[test]
fn all_together_hold_back_no_more_than_they_may() {
    let (pipeline, room) = (Pipeline::new(4096, 512), room(1000));
    let (mut first, mut second) = (TailBuffer::default(), TailBuffer::default());
    push(&mut first, &room, 900);
    push(&mut second, &room, 900);
    push(&mut second, &room, 50);
    assert_eq!(room.used.load(Relaxed), 950 + 2 * PER_SPAN);
    first.settle(&room, None);
    push(&mut second, &room, 900);
    second.settle(&room, Some(&pipeline));
    let totals = pipeline.totals();
    assert_eq!((exported(&pipeline), totals.losses.of(Loss::HeldFull)), ((2, 950), 1));
    assert_eq!(room.used.load(Relaxed), 0);
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
        assert_eq!(rules.reason(has_failed, Duration::from_nanos(11)), expected, "{rules:?}");
    }
}
