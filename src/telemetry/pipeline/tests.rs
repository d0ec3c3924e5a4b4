//! Nothing is lost without being counted, and the bounds hold.

use super::*;

fn span(size: usize) -> impl Fn(&mut Vec<u8>) {
    move |out| out.extend(std::iter::repeat_n(7, size))
}

#[test]
fn every_span_is_either_held_or_counted() {
    for (shards, max) in [(1, 10), (3, 10), (4, 2)] {
        let pipeline = Pipeline::with_shards(shards, max, 512, MAX_BYTES);
        (0..25).for_each(|_| pipeline.push(span(3)));
        let chunks = pipeline.drain(false);
        assert_eq!(chunks.iter().map(|chunk| chunk.spans as usize).sum::<usize>(), max);
        assert_eq!(chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>(), 3 * max);
        let totals = pipeline.totals();
        assert_eq!((totals.ended, totals.dropped.queue_full), (25, 25 - max as u64));
        assert!(pipeline.is_due() && !pipeline.is_due(), "a full queue is drained, once");
    }
}

#[test]
fn bytes_are_bounded_too() {
    let pipeline = Pipeline::with_shards(2, 100, 512, 200);
    pipeline.push(span(101));
    (0..5).for_each(|_| pipeline.push(span(60)));
    let chunks = pipeline.drain(false);
    assert_eq!(
        chunks.iter().map(|chunk| (chunk.spans, chunk.bytes.len())).collect::<Vec<_>>(),
        [(1, 60), (1, 60)]
    );
    let totals = pipeline.totals();
    assert_eq!((totals.ended, totals.dropped.too_large, totals.dropped.queue_full), (6, 1, 3));
}

#[test]
fn what_no_shard_can_take_is_encoded_once_and_leaves_no_memory_taken() {
    let pipeline = Pipeline::with_shards(4, 100, 512, 4000);
    let times = std::sync::atomic::AtomicU32::new(0);
    pipeline.push(|out| {
        times.fetch_add(1, Relaxed);
        out.extend(std::iter::repeat_n(7, 1_000_000));
    });
    assert_eq!(times.load(Relaxed), 1);
    for shard in &pipeline.shards {
        let capacity = lock(&shard.0).bytes.capacity();
        assert!(capacity <= 1000, "{capacity}");
    }
    pipeline.push(span(1000));
    pipeline.settle();
    let totals = pipeline.totals();
    assert_eq!((totals.ended, totals.dropped.too_large, totals.dropped.queue_full), (2, 1, 0));
    assert_eq!(totals.dropped.spans(), 2, "settled");
}

#[test]
fn the_exporter_is_told_when_a_batch_waits() {
    for shards in [1, 2] {
        let pipeline = Pipeline::with_shards(shards, 2048, 64, MAX_BYTES);
        let told = |pipeline: &Pipeline| pipeline.pending.0.load(Relaxed) >= 64;
        (0..63).for_each(|_| pipeline.push(span(1)));
        assert!(!told(&pipeline));
        (0..8).for_each(|_| pipeline.push(span(1)));
        assert!(told(&pipeline), "at the latest an eighth of a batch later");
        assert_eq!(pipeline.drain(false).iter().map(|chunk| chunk.spans).sum::<u32>(), 71);
        assert_eq!(pipeline.pending.0.load(Relaxed), 0);
    }
}

#[test]
fn what_comes_after_the_close_is_counted() {
    let pipeline = Pipeline::with_shards(1, 10, 512, MAX_BYTES);
    pipeline.push(span(1));
    assert_eq!(pipeline.drain(true).len(), 1);
    Counters::add(&pipeline.counters.exported, 1u32);
    pipeline.push(span(1));
    pipeline.settle();
    let totals = pipeline.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped.shutdown), (2, 1, 1));
}

#[test]
fn a_panic_while_encoding_loses_one_span() {
    let pipeline = Pipeline::with_shards(1, 10, 512, MAX_BYTES);
    pipeline.push(span(2));
    let panic = std::panic::AssertUnwindSafe(|| {
        pipeline.push(|out| {
            out.push(1);
            panic!("no room for sense")
        });
    });
    assert!(std::panic::catch_unwind(panic).is_err());
    pipeline.push(span(2));
    let chunks = pipeline.drain(false);
    assert_eq!((chunks[0].spans, chunks[0].bytes.as_slice()), (2, &[7; 4][..]));
}

#[test]
fn threads_and_a_draining_exporter_lose_nothing() {
    let pipeline = Pipeline::with_shards(2, 100_000, 16, MAX_BYTES);
    let mut held = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..5_000).for_each(|_| pipeline.push(span(5))))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            held += pipeline.drain(false).iter().map(|chunk| u64::from(chunk.spans)).sum::<u64>();
        }
    });
    held += pipeline.drain(true).iter().map(|chunk| u64::from(chunk.spans)).sum::<u64>();
    assert_eq!(held + pipeline.totals().dropped.queue_full, 20_000);
    assert_eq!(pipeline.totals().ended, 20_000);
    assert_eq!(pipeline.pending.0.load(Relaxed), 0, "no sum went below zero");
}
