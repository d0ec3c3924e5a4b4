//! The spool against a real disk, which fails and hangs, too.

use super::*;
use crate::settings::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A place for a spool, and a spool there of `kib`.
fn spool(kib: u64) -> (TempDir, Arc<Spool>) {
    let place = TempDir::new().unwrap();
    let opened = open(&place, kib).unwrap();
    (place, opened)
}

fn open(place: &TempDir, kib: u64) -> Result<Arc<Spool>, SpoolError> {
    Spool::open(&place.path().join("spool"), kib << 10, &STANDARD)
}

fn lane(spool: &Arc<Spool>, signal: Signal) -> (Lane, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    (spool.lane(signal, &counts), counts)
}

fn batch(text: &'static [u8], items: u32) -> Batch {
    Batch { body: Bytes::from_static(text), items }
}

async fn taken(lane: &Lane) -> Option<Bytes> {
    let stored = lane.take().await?;
    let body = stored.batch.body.clone();
    sent(lane, stored).await;
    Some(body)
}

/// All of it has arrived.
async fn sent(lane: &Lane, stored: Stored) {
    lane.is_over(stored.batch.items);
    lane.done(stored).await;
}

/// A request of so many spans, whose names are their numbers.
fn spans(count: u32) -> Batch {
    let span = |number: u32| Span { name: number.to_string(), ..Span::default() };
    let spans = (0..count).map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }],
    };
    Batch { body: request.encode_to_vec().into(), items: count }
}

fn names(batch: &Batch) -> Vec<String> {
    let request = ExportTraceServiceRequest::decode(batch.body.clone()).unwrap();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    spans.iter().map(|span| span.name.clone()).collect()
}

fn files(place: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(place.path().join("spool")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn batches_come_back_oldest_first_by_signal_and_after_a_restart() {
    let (place, first) = spool(1024);
    let (traces, counts) = lane(&first, Signal::Traces);
    let (logs, _) = lane(&first, Signal::Logs);
    assert!(!traces.waits() && taken(&traces).await.is_none());
    assert!(traces.put(&batch(b"one", 3)).await && logs.put(&batch(b"log", 1)).await);
    assert!(traces.put(&batch(b"two", 4)).await);
    assert_eq!(counts.spool().left, 7);
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"one"[..]));
    assert_eq!((counts.spool().left, files(&place).len()), (4, 3), "two batches and the lock");

    // One that is under way stays where it is.
    let stored = traces.take().await.unwrap();
    assert!(!traces.waits());
    // A call to the disk has the directory until it is over, a moment after it has answered.
    while Arc::strong_count(&first.directory) > 1 {
        tokio::task::yield_now().await;
    }
    drop((stored, traces, logs, first));
    fs::write(place.path().join("spool/00000000000000000001-logs-1.otlp.new"), "half").unwrap();
    fs::write(place.path().join("spool/notes.txt"), "of somebody else").unwrap();
    let second = open(&place, 1024).unwrap();
    let (traces, counts) = lane(&second, Signal::Traces);
    assert_eq!((counts.spool().found, counts.spool().left), (4, 4));
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"two"[..]));
    assert_eq!((counts.spool().found, counts.spool().left), (4, 0));
    let (logs, _) = lane(&second, Signal::Logs);
    assert_eq!(taken(&logs).await.as_deref(), Some(&b"log"[..]));
    assert_eq!(files(&place), ["lock", "notes.txt"]);
}

#[tokio::test]
async fn what_does_not_arrive_is_put_back_in_its_place() {
    let (_place, spool) = spool(1024);
    let (traces, counts) = lane(&spool, Signal::Traces);
    assert!(traces.put(&batch(b"one", 1)).await && traces.put(&batch(b"two", 1)).await);
    let stored = traces.take().await.unwrap();
    assert!(traces.put_back(stored, 0).await.is_none());
    assert_eq!(counts.spool().left, 2);
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"one"[..]));
}

/// The parts of a batch that did not arrive take its place.
#[tokio::test]
async fn what_is_left_of_a_batch_takes_its_place() {
    let (place, spool) = spool(1024);
    let (traces, counts) = lane(&spool, Signal::Traces);
    assert!(traces.put(&spans(5)).await && traces.put(&batch(b"two", 1)).await);
    let stored = traces.take().await.unwrap();
    let whole = stored.name;
    traces.is_over(3);
    assert!(traces.put_back(stored, 3).await.is_none());
    assert_eq!((counts.spool().left, files(&place).len()), (3, 3), "two batches and the lock");
    let rest = traces.take().await.unwrap();
    assert_eq!((rest.name.time, names(&rest.batch)), (whole.time, vec!["3".to_owned(), "4".to_owned()]));

    // It goes down to nothing.
    traces.is_over(2);
    assert!(traces.put_back(rest, 2).await.is_none());
    assert_eq!((counts.spool().left, files(&place).len()), (1, 2));
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"two"[..]));
}

#[tokio::test]
async fn what_is_left_of_a_batch_is_the_callers_where_the_disk_fails() {
    let (place, spool) = spool(1024);
    let (traces, counts) = lane(&spool, Signal::Traces);
    assert!(traces.put(&spans(5)).await);
    let stored = traces.take().await.unwrap();
    let path = place.path().join("spool");
    fs::rename(&path, place.path().join("away")).unwrap();
    fs::write(&path, "in its place").unwrap();
    traces.is_over(4);
    let rest = traces.put_back(stored, 4).await.unwrap();
    assert_eq!((names(&rest), counts.spool().left), (vec!["4".to_owned()], 0));
    assert!(!traces.works());
}

#[tokio::test]
async fn the_oldest_goes_when_it_is_full_whatever_its_signal() {
    let (place, spool) = spool(12);
    let (traces, of_traces) = lane(&spool, Signal::Traces);
    let (logs, of_logs) = lane(&spool, Signal::Logs);
    assert!(logs.put(&batch(b"old", 5)).await);
    assert!(traces.put(&batch(b"one", 1)).await && traces.put(&batch(b"two", 1)).await);
    assert_eq!(of_logs.lost(Loss::SpoolFull), 0);
    assert!(traces.put(&batch(b"three", 1)).await);
    assert_eq!((of_logs.lost(Loss::SpoolFull), of_logs.spool().left), (5, 0));
    assert_eq!((of_traces.lost(Loss::SpoolFull), of_traces.spool().left), (0, 3));
    assert_eq!(files(&place).len(), 4);

    // What is being sent does not go.
    let sent = traces.take().await.unwrap();
    assert_eq!(&*sent.batch.body, b"one");
    assert!(traces.put(&batch(b"four", 1)).await);
    assert_eq!(of_traces.lost(Loss::SpoolFull), 1);
    self::sent(&traces, sent).await;
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"three"[..]));
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"four"[..]));
    assert_eq!((taken(&traces).await, files(&place)), (None, vec!["lock".to_owned()]));
}

#[tokio::test]
async fn a_batch_without_room_is_still_the_callers() {
    let (_place, spool) = spool(8);
    let (traces, counts) = lane(&spool, Signal::Traces);
    assert!(!traces.put(&batch(&[7; 9000], 2)).await);
    assert!(!traces.takes(), "it is left alone for a while");
    assert!(lane(&spool, Signal::Logs).0.takes(), "others may be smaller");
    assert_eq!((counts.spool().left, counts.losses().total()), (0, 0));
}

#[tokio::test]
async fn damaged_files_are_counted_and_removed() {
    let (place, spool) = spool(1024);
    let (traces, counts) = lane(&spool, Signal::Traces);
    for text in [&b"one"[..], b"two", b"three", b"four"] {
        assert!(traces.put(&batch(text, 2)).await);
    }
    let path = |name: &String| place.path().join("spool").join(name);
    let names = files(&place);
    let content = fs::read(path(&names[0])).unwrap();
    fs::write(path(&names[0]), &content[..content.len() - 1]).unwrap();
    fs::write(path(&names[1]), "something else altogether").unwrap();
    fs::remove_file(path(&names[2])).unwrap();
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"four"[..]));
    assert_eq!((counts.lost(Loss::SpoolUnreadable), counts.spool().left), (6, 0));
    assert_eq!(files(&place), ["lock"]);
}

#[tokio::test]
async fn a_disk_that_fails_is_left_alone_and_loses_nothing() {
    let (place, spool) = spool(1024);
    let (traces, counts) = lane(&spool, Signal::Traces);
    assert!(traces.put(&batch(b"one", 2)).await);
    let path = place.path().join("spool");
    fs::rename(&path, place.path().join("away")).unwrap();
    fs::write(&path, "in its place").unwrap();
    assert!(!traces.put(&batch(b"two", 3)).await);
    fs::remove_file(&path).unwrap();
    fs::rename(place.path().join("away"), &path).unwrap();
    assert!(!traces.works() && !traces.waits(), "for a while");
    spool.state().broken_until = None;
    assert!(traces.works() && traces.put(&batch(b"two", 3)).await);
    assert_eq!((counts.spool().left, counts.losses().total()), (5, 0));
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"one"[..]));
}

#[tokio::test]
async fn a_disk_that_hangs_is_not_waited_for() {
    let (_place, mut spool) = spool(1024);
    Arc::get_mut(&mut spool).unwrap().patience = Duration::from_millis(50);
    let (traces, counts) = lane(&spool, Signal::Traces);
    let (go_on, hangs) = std::sync::mpsc::channel::<()>();
    let (undone, is_undone) = oneshot::channel();
    let touched = spool.touch(move |_| hangs.recv().is_err(), |_, result| undone.send(result).unwrap());
    assert_eq!(touched.await, None);
    spool.failed(&"the disk does not answer");
    assert!(!traces.put(&batch(b"one", 1)).await);
    drop(go_on);
    assert_eq!(is_undone.await, Ok(true));
    assert_eq!(counts.spool().left, 0);
}

#[test]
fn only_its_owner_may_look_and_one_process_at_a_time() {
    let (place, first) = spool(1024);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(first.path()), 0o700);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (traces, _) = lane(&first, Signal::Traces);
    assert!(runtime.block_on(traces.put(&batch(b"one", 1))));
    for name in files(&place) {
        assert_eq!(mode(&first.path().join(name)), 0o600);
    }
    let error = format!("{:#}", open(&place, 1024).expect_err("it is in use"));
    assert!(error.contains("another process uses the directory") && error.contains("the spool"), "{error}");
    drop((runtime, traces, first));
    open(&place, 1024).unwrap();

    let opened = Spool::open(Path::new("/proc/nowhere/spool"), 1 << 20, &STANDARD);
    let error = opened.expect_err("it cannot be made").to_string();
    assert!(error.contains("cannot make the directory `/proc/nowhere/spool` of the spool"), "{error}");
}

/// A batch that never gets through is tried in turns with those behind it, and given up once they have got through.
#[tokio::test]
async fn a_batch_that_always_fails_does_not_hold_up_the_others() {
    let (_place, spool) = spool(1024);
    let (traces, _) = lane(&spool, Signal::Traces);
    for text in [&b"bad"[..], b"one", b"two", b"three", b"four", b"five"] {
        assert!(traces.put(&batch(text, 1)).await);
    }
    let mut arrived = Vec::new();
    for _ in 0..20 {
        let Some(stored) = traces.take().await else { break };
        let body = stored.batch.body.clone();
        if &*body != b"bad" || traces.is_hopeless(&stored) {
            sent(&traces, stored).await;
            arrived.push(body);
        } else {
            traces.put_back(stored, 0).await;
        }
    }
    assert_eq!(arrived, [&b"one"[..], b"two", b"three", b"bad", b"four", b"five"]);
}

/// Nothing but the directory being away speaks against the disk, and then nothing is lost.
#[tokio::test]
async fn what_cannot_be_read_now_stays_and_what_is_no_file_is_passed_over() {
    let (place, spool) = spool(1024);
    let (traces, counts) = lane(&spool, Signal::Traces);
    assert!(traces.put(&batch(b"one", 1)).await && traces.put(&batch(b"two", 2)).await);
    let path = place.path().join("spool");
    fs::rename(&path, place.path().join("away")).unwrap();
    assert!(traces.take().await.is_none() && !traces.waits());
    assert!(traces.takes(), "a directory that is gone is made again for what comes next");
    assert_eq!((counts.spool().left, counts.losses().total()), (3, 0));
    fs::rename(place.path().join("away"), &path).unwrap();
    spool.state().unreadable_until = None;
    let first = path.join(&files(&place)[0]);
    fs::remove_file(&first).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &first).unwrap();
    assert_eq!(taken(&traces).await.as_deref(), Some(&b"two"[..]));
    assert_eq!((counts.spool().left, counts.lost(Loss::SpoolUnreadable)), (0, 1));
    assert!(first.is_symlink(), "that is not ours to remove");
}

#[tokio::test]
async fn what_is_dropped_of_a_signal_that_is_not_exported_now_is_counted() {
    let (place, first) = spool(12);
    let (traces, _) = lane(&first, Signal::Traces);
    assert!(traces.put(&batch(b"one", 3)).await && traces.put(&batch(b"two", 4)).await);
    while Arc::strong_count(&first.directory) > 1 {
        tokio::task::yield_now().await;
    }
    drop((traces, first));
    let second = open(&place, 12).unwrap();
    let (logs, _) = lane(&second, Signal::Logs);
    assert!(logs.put(&batch(b"log", 1)).await);
    assert_eq!(second.state().unclaimed_dropped, 0, "there is room for three");
    assert!(logs.put(&batch(b"log", 1)).await);
    assert_eq!(second.state().unclaimed_dropped, 3, "the oldest has gone");
}
