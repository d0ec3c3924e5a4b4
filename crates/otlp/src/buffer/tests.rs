//! Nothing is lost without being counted, and the bounds hold.

use super::*;

fn span(size: usize) -> impl Fn(&mut Vec<u8>) {
    move |out| out.extend(std::iter::repeat_n(7, size))
}

#[test]
fn every_span_is_either_held_or_counted() {
    for (shards, max) in [(1, 10), (3, 10), (4, 2)] {
        let buffer = Buffer::with_shards(shards, max, 512, MAX_BYTES);
        (0..25).for_each(|_| _ = buffer.push(span(3)));
        let chunks = buffer.drain(false);
        assert_eq!(chunks.iter().map(|chunk| chunk.items as usize).sum::<usize>(), max);
        assert_eq!(chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>(), 3 * max);
        let totals = buffer.totals();
        assert_eq!((totals.ended, totals.losses.of(Loss::QueueFull)), (25, 25 - max as u64));
        assert!(buffer.is_due() && !buffer.is_due(), "a full queue is drained, once");
    }
}

#[test]
fn bytes_are_bounded_too() {
    let buffer = Buffer::with_shards(2, 100, 512, 200);
    buffer.push(span(101));
    (0..5).for_each(|_| _ = buffer.push(span(60)));
    let chunks = buffer.drain(false);
    assert_eq!(
        chunks.iter().map(|chunk| (chunk.items, chunk.bytes.len())).collect::<Vec<_>>(),
        [(1, 60), (1, 60)]
    );
    let totals = buffer.totals();
    assert_eq!(
        (totals.ended, totals.losses.of(Loss::TooLarge), totals.losses.of(Loss::QueueFull)),
        (6, 1, 3)
    );
}

#[test]
fn what_no_shard_can_take_is_encoded_once_and_leaves_no_memory_taken() {
    let buffer = Buffer::with_shards(4, 100, 512, 4000);
    let times = std::sync::atomic::AtomicU32::new(0);
    buffer.push(|out| {
        times.fetch_add(1, Relaxed);
        out.extend(std::iter::repeat_n(7, 1_000_000));
    });
    assert_eq!(times.load(Relaxed), 1);
    for shard in &buffer.shards {
        let capacity = lock(&shard.0).bytes.capacity();
        assert!(capacity <= 1000, "{capacity}");
    }
    buffer.push(span(1000));
    buffer.settle();
    let totals = buffer.totals();
    assert_eq!(
        (totals.ended, totals.losses.of(Loss::TooLarge), totals.losses.of(Loss::QueueFull)),
        (2, 1, 0)
    );
    assert_eq!(totals.losses.total(), 2, "settled");
}

#[test]
fn the_exporter_is_told_when_a_batch_waits() {
    for shards in [1, 2] {
        let buffer = Buffer::with_shards(shards, 2048, 64, MAX_BYTES);
        let told = |buffer: &Buffer| buffer.pending.0.load(Relaxed) >= 64;
        (0..63).for_each(|_| _ = buffer.push(span(1)));
        assert!(!told(&buffer));
        (0..8).for_each(|_| _ = buffer.push(span(1)));
        assert!(told(&buffer), "at the latest an eighth of a batch later");
        assert_eq!(buffer.drain(false).iter().map(|chunk| chunk.items).sum::<u32>(), 71);
        assert_eq!(buffer.pending.0.load(Relaxed), 0);
    }
}

#[test]
fn what_comes_after_the_close_is_counted() {
    let buffer = Buffer::with_shards(1, 10, 512, MAX_BYTES);
    buffer.push(span(1));
    assert_eq!(buffer.drain(true).len(), 1);
    buffer.counts.export(1u32);
    buffer.push(span(1));
    buffer.settle();
    let totals = buffer.totals();
    assert_eq!((totals.ended, totals.exported, totals.losses.of(Loss::Shutdown)), (2, 1, 1));
}

#[test]
fn a_panic_while_encoding_loses_one_span() {
    let buffer = Buffer::with_shards(1, 10, 512, MAX_BYTES);
    buffer.push(span(2));
    let panic = std::panic::AssertUnwindSafe(|| {
        buffer.push(|out| {
            out.push(1);
            panic!("no room for sense")
        });
    });
    assert!(std::panic::catch_unwind(panic).is_err());
    buffer.push(span(2));
    let chunks = buffer.drain(false);
    assert_eq!((chunks[0].items, chunks[0].bytes.as_slice()), (2, &[7; 4][..]));
}

#[test]
fn threads_and_a_draining_exporter_lose_nothing() {
    let buffer = Buffer::with_shards(2, 100_000, 16, MAX_BYTES);
    let mut held = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..5_000).for_each(|_| _ = buffer.push(span(5))))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            held += buffer.drain(false).iter().map(|chunk| u64::from(chunk.items)).sum::<u64>();
        }
    });
    held += buffer.drain(true).iter().map(|chunk| u64::from(chunk.items)).sum::<u64>();
    assert_eq!(held + buffer.totals().losses.of(Loss::QueueFull), 20_000);
    assert_eq!(buffer.totals().ended, 20_000);
    assert_eq!(buffer.pending.0.load(Relaxed), 0, "no sum went below zero");
}
