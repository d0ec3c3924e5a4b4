//! A guest that has its host keep things, and gives nothing back before its end. The path says what, `?n=` how many
//! (default 1000), `&bytes=` how large each of them is (default 64 KiB), `&ms=` how long it keeps them (default 0). It
//! answers 200 `kept N` and, with `&after=`, keeps as many again after the head of its response.
//!
//! | path | keeps |
//! | --- | --- |
//! | `/fields` | header fields |
//! | `/requests` | outgoing requests with a long path |
//! | `/bodies` | outgoing requests with a body, as much of it written as there is room for |
//! | `/pollables` | timers |
//! | `/handles` | handles on the same few things |
//! | `/list` | one timer, in a list of as many that it waits for |
//! | `/files` | streams that write to a file of a directory that it was given, 64 KiB each |
//! | `/calls?url=` | calls under way, with fields |
//! | `/memory` | memory of its own |
//! | `/empty` | nothing: it writes `?n=` pieces of no bytes (default: without end), then `done` |
//! | `/empty?url=` | the same as the body of a call; `&ms=` is the time for its response; answers what became of it |
//!
//! `/empty` says a line on stdout after each 50,000 pieces.

use guest_http::p2::{self, Answer};
use guest_http::{Call, Target, error_name};
use wasip2::clocks::monotonic_clock;
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingRequest, OutgoingBody, OutgoingRequest, RequestOptions,
    ResponseOutparam, Scheme,
};
use wasip2::io::poll::{self, Pollable};
use wasip2::io::streams::OutputStream;

/// Bytes of one value of a header field.
const VALUE: usize = 8 * 1024;

/// What the host keeps; nobody reads it.
#[expect(dead_code, reason = "it is there to be there")]
enum Kept {
    Fields(Fields),
    Request(OutgoingRequest),
    // The stream before the body that it belongs to, and that before the request.
    Body(OutputStream, OutgoingBody, OutgoingRequest),
    Pollable(Pollable),
    File(OutputStream, Descriptor),
    Call(FutureIncomingResponse),
    Memory(Vec<u8>),
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

fn request(fields: Fields, path: &str) -> OutgoingRequest {
    let request = OutgoingRequest::new(fields);
    let _ = request.set_path_with_query(Some(path));
    request
}

fn body() -> Kept {
    let request = request(Fields::new(), "/");
    let body = request.body().expect("the body is taken once");
    let stream = body.write().expect("the stream is taken once");
    while let Ok(room @ 1..) = stream.check_write() {
        let _ = stream.write(&vec![b'b'; room as usize]);
    }
    Kept::Body(stream, body, request)
}

/// A stream with a write to a file under way.
fn file() -> Option<Kept> {
    let (directory, _) = preopens::get_directories().pop()?;
    let file = directory
        .open_at(PathFlags::empty(), "kept", OpenFlags::CREATE, DescriptorFlags::WRITE)
        .expect("a file that may be written");
    let stream = file.write_via_stream(0).expect("a stream");
    let room = stream.check_write().expect("it is open");
    stream.write(&vec![b'f'; room as usize]).expect("there is room");
    Some(Kept::File(stream, file))
}

fn keep(target: &Target, n: u64) -> Option<Kept> {
    let bytes = target.number("bytes", 64 * 1024) as usize;
    Some(match target.path() {
        "/fields" => Kept::Fields(fields(bytes)),
        "/requests" => Kept::Request(request(Fields::new(), &format!("/{}", "p".repeat(bytes)))),
        "/bodies" => body(),
        "/pollables" => Kept::Pollable(monotonic_clock::subscribe_duration(3_600_000_000_000 + n)),
        "/files" => file()?,
        "/calls" => {
            let call = Call::named(target, "url")?;
            let request = request(fields(bytes), &call.path_with_query);
            let _ = request.set_scheme(Some(&Scheme::Http));
            let _ = request.set_authority(Some(&call.authority));
            Kept::Call(outgoing_handler::handle(request, None).ok()?)
        }
        "/memory" => Kept::Memory(vec![1; bytes]),
        _ => return None,
    })
}

fn take(target: &Target, kept: &mut Vec<Kept>) {
    kept.extend((0..target.number("n", 1000)).map_while(|n| keep(target, n)));
}

/// Writes pieces of no bytes; false when nobody reads any more. `go_on` is asked now and then.
fn write_empty(stream: &OutputStream, pieces: u64, mut go_on: impl FnMut() -> bool) -> bool {
    for n in 1..=pieces {
        if stream.blocking_write_and_flush(&[]).is_err() {
            return false;
        }
        if n.is_multiple_of(50_000) {
            println!("{n} pieces of no bytes");
        }
        if n.is_multiple_of(500) && !go_on() {
            return true;
        }
    }
    true
}

/// A call whose body is pieces of no bytes; what became of it.
fn empty_call(target: &Target, call: &Call, pieces: u64) -> String {
    let request = request(Fields::new(), &call.path_with_query);
    let _ = request.set_method(&wasip2::http::types::Method::Post);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(&call.authority));
    let body = request.body().expect("the body is taken once");
    let options = RequestOptions::new();
    let _ = options.set_first_byte_timeout(Some(target.number("ms", 60_000) * 1_000_000));
    let response = match outgoing_handler::handle(request, Some(options)) {
        Ok(response) => response,
        Err(error) => return error_name(&error),
    };
    let ready = response.subscribe();
    let stream = body.write().expect("the stream is taken once");
    let written = write_empty(&stream, pieces, || !ready.ready());
    drop(stream);
    if written {
        let _ = OutgoingBody::finish(body, None);
    }
    ready.block();
    drop(ready);
    match p2::complete(response) {
        Ok(status) => status.to_string(),
        Err(error) => error_name(&error),
    }
}

struct Hoard;

impl wasip2::exports::http::incoming_handler::Guest for Hoard {
    fn handle(received: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&received);
        if target.path() == "/empty" {
            let pieces = target.number("n", u64::MAX);
            if let Some(call) = Call::named(&target, "url") {
                let became = empty_call(&target, &call, pieces);
                return p2::respond(out, 200, p2::content_type("text/plain"), became.as_bytes());
            }
            let answer = Answer::start(out, 200, p2::content_type("text/plain"));
            if write_empty(answer.stream(), pieces, || true) && answer.write(b"done\n").is_ok() {
                answer.finish();
            }
            return;
        }
        let mut kept = Vec::new();
        let mut handles = Vec::new();
        if target.path() == "/handles" {
            handles.extend((0..target.number("n", 1000)).map(|_| received.headers()));
        }
        take(&target, &mut kept);
        if target.path() == "/list" {
            let timer = monotonic_clock::subscribe_duration(target.number("ms", 0) * 1_000_000);
            let list = vec![&timer; target.number("n", 1000) as usize];
            let listed = poll::poll(&list).len();
            return p2::respond(out, 200, p2::content_type("text/plain"), format!("kept {listed}\n").as_bytes());
        }
        p2::wait(target.number("ms", 0));
        let answer = Answer::start(out, 200, p2::content_type("text/plain"));
        let said = format!("kept {}\n", kept.len() + handles.len());
        if answer.write(said.as_bytes()).is_ok() {
            if target.get("after").is_some() {
                take(&target, &mut kept);
                p2::wait(target.number("ms", 0));
            }
            answer.finish();
        }
    }
}

wasip2::http::proxy::export!(Hoard with_types_in wasip2);
