//! A guest that has its host keep things, and gives nothing back before its end. The path says what, `?n=` how many
//! (default 1000), `&bytes=` how large each of them is (default 64 KiB), `&ms=` how long it keeps them (default 0). It
//! answers 200 `kept N` and, with `&after=`, keeps as many again after the head of its response.
//!
//! | path | keeps |
//! | --- | --- |
//! | `/fields` | header fields |
//! | `/requests` | outgoing requests with a long path |
//! | `/streams`, `/futures` | both ends of streams and of futures |
//! | `/timers` | calls to the host that are under way |
//! | `/sets` | sets of what may be waited for |
//! | `/handles` | handles on the same few things |
//! | `/calls?url=` | outgoing calls under way, with fields |
//! | `/memory` | memory of its own |
//! | `/empty` | nothing: it writes `?n=` pieces of no bytes (default: without end), then `done` |
//! | `/empty?url=` | the same as the body of a call; `&ms=` is the time for its response; answers what became of it |
//! | `/ends` | nothing: it gives up a read of a stream at the end that writes |
//!
//! `/empty` says a line on stdout after each 50,000 pieces.

use guest_http::p3::{self, Answer};
use guest_http::{Call, Target, abandon, error_name};
use std::pin::Pin;
use wasip3::clocks::monotonic_clock;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme};
use wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter};
use wasip3::{wit_future, wit_stream};

/// Bytes of one value of a header field.
const VALUE: usize = 8 * 1024;

type Sent = Result<Response, ErrorCode>;

/// What the host keeps; nobody reads it.
#[expect(dead_code, reason = "it is there to be there")]
enum Kept {
    Fields(Fields),
    Request(Request, FutureReader<Result<(), ErrorCode>>),
    Stream(StreamWriter<u8>, StreamReader<u8>),
    Future(FutureWriter<Result<(), ErrorCode>>, FutureReader<Result<(), ErrorCode>>),
    Timer(Pin<Box<dyn Future<Output = ()>>>),
    Call(Pin<Box<dyn Future<Output = Sent>>>),
    Memory(Vec<u8>),
    /// Never given back.
    Set(u32),
}

#[link(wasm_import_module = "$root")]
unsafe extern "C" {
    #[link_name = "[waitable-set-new]"]
    safe fn waitable_set_new() -> u32;
    #[link_name = "[stream-new-unit]"]
    safe fn stream_new() -> u64;
    #[link_name = "[async-lower][stream-write-unit]"]
    unsafe fn stream_write(stream: u32, values: *const u8, count: usize) -> u32;
    #[link_name = "[stream-cancel-read-unit]"]
    safe fn stream_cancel_read(stream: u32) -> u32;
}

/// Fields of about so many bytes.
fn fields(bytes: usize) -> Fields {
    let fields = Fields::new();
    for (n, start) in (0..bytes).step_by(VALUE).enumerate() {
        let value = vec![b'v'; VALUE.min(bytes - start)];
        // Beyond what one may have the host refuses it.
        let _ = fields.append(&format!("x-{n}"), &value);
    }
    fields
}

/// A request without a body.
fn request(fields: Fields, path: &str) -> (Request, FutureReader<Result<(), ErrorCode>>) {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, transmitted) = Request::new(fields, None, trailers, None);
    let _ = request.set_path_with_query(Some(path));
    (request, transmitted)
}

fn to(call: &Call, request: &Request) {
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(&call.authority));
}

async fn keep(target: &Target, n: u64) -> Option<Kept> {
    let bytes = target.number("bytes", 64 * 1024) as usize;
    Some(match target.path() {
        "/fields" => Kept::Fields(fields(bytes)),
        "/requests" => {
            let (request, transmitted) = request(Fields::new(), &format!("/{}", "p".repeat(bytes)));
            Kept::Request(request, transmitted)
        }
        "/streams" => {
            let (writer, reader) = wit_stream::new();
            Kept::Stream(writer, reader)
        }
        "/futures" => {
            let (writer, reader) = wit_future::new(|| Ok(()));
            Kept::Future(writer, reader)
        }
        "/sets" => Kept::Set(waitable_set_new()),
        "/timers" => {
            let wait = monotonic_clock::wait_for(3_600_000_000_000 + n);
            let mut wait: Pin<Box<dyn Future<Output = ()>>> = Box::pin(wait);
            abandon(wait.as_mut()).await;
            Kept::Timer(wait)
        }
        "/calls" => {
            let call = Call::named(target, "url")?;
            let (request, _) = request(fields(bytes), &call.path_with_query);
            to(&call, &request);
            let mut sent: Pin<Box<dyn Future<Output = Sent>>> = Box::pin(client::send(request));
            abandon(sent.as_mut()).await;
            Kept::Call(sent)
        }
        "/memory" => Kept::Memory(vec![1; bytes]),
        _ => return None,
    })
}

async fn take(target: &Target, kept: &mut Vec<Kept>) {
    for n in 0..target.number("n", 1000) {
        match keep(target, n).await {
            Some(one) => kept.push(one),
            None => return,
        }
    }
}

/// Writes pieces of no bytes, until there are enough of them or nobody reads any more.
async fn write_empty(body: &mut StreamWriter<u8>, pieces: u64) {
    for n in 1..=pieces {
        if let (StreamResult::Dropped, _) = body.write(Vec::new()).await {
            return;
        }
        if n.is_multiple_of(50_000) {
            println!("{n} pieces of no bytes");
        }
    }
}

/// A call whose body is pieces of no bytes; what became of it.
async fn empty_call(target: &Target, call: &Call, pieces: u64) -> String {
    let (mut body, contents) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Ok(None));
    let options = RequestOptions::new();
    let _ = options.set_first_byte_timeout(Some(target.number("ms", 60_000) * 1_000_000));
    let (request, _transmitted) = Request::new(Fields::new(), Some(contents), trailers, Some(options));
    let _ = request.set_method(&Method::Post);
    let _ = request.set_path_with_query(Some(&call.path_with_query));
    to(call, &request);
    wasip3::spawn_local(async move {
        write_empty(&mut body, pieces).await;
        drop((body, end));
    });
    match client::send(request).await {
        Ok(response) => response.get_status_code().to_string(),
        Err(error) => error_name(&error),
    }
}

/// Gives up, at the end of a stream that writes, a read that never was.
fn give_up_the_wrong_end() {
    let ends = stream_new();
    let writer = (ends >> 32) as u32;
    // SAFETY: the stream carries no values, so nothing is read from there.
    let _ = unsafe { stream_write(writer, std::ptr::null(), 1) };
    let _ = stream_cancel_read(writer);
}

struct Hoard;

impl wasip3::exports::http::handler::Guest for Hoard {
    async fn handle(received: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&received);
        let plain = || p3::content_type("text/plain");
        if target.path() == "/empty" {
            let pieces = target.number("n", u64::MAX);
            if let Some(call) = Call::named(&target, "url") {
                return Ok(p3::respond(200, plain(), empty_call(&target, &call, pieces).await.into_bytes()));
            }
            let (mut answer, response) = Answer::new(200, plain());
            wasip3::spawn_local(async move {
                write_empty(answer.stream(), pieces).await;
                if answer.write(b"done\n".to_vec()).await {
                    answer.finish(Ok(None)).await;
                }
            });
            return Ok(response);
        }
        if target.path() == "/ends" {
            give_up_the_wrong_end();
        }
        let mut kept = Vec::new();
        let mut handles = Vec::new();
        if target.path() == "/handles" {
            handles.extend((0..target.number("n", 1000)).map(|_| received.get_headers()));
        }
        take(&target, &mut kept).await;
        p3::wait(target.number("ms", 0)).await;
        let (mut answer, response) = Answer::new(200, plain());
        wasip3::spawn_local(async move {
            let said = format!("kept {}\n", kept.len() + handles.len());
            if answer.write(said.into_bytes()).await {
                if target.get("after").is_some() {
                    take(&target, &mut kept).await;
                    p3::wait(target.number("ms", 0)).await;
                }
                answer.finish(Ok(None)).await;
            }
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Hoard);
