//! The example `one_span`, against a receiver and against none.

#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "its `main` is for people")]
#[path = "../examples/one_span.rs"]
mod one_span;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use pounce_otlp::Loss;
use prost::Message;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

/// Takes one request over HTTP/1.1 and answers 200; gives its first line and its body.
fn receive_one(listener: &TcpListener) -> (String, Vec<u8>) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    (lines[0].clone(), body)
}

#[test]
fn a_receiver_gets_the_span_with_all_that_the_example_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let receiver = std::thread::spawn(move || receive_one(&listener));
    let totals = one_span::send(&endpoint).unwrap();
    assert_eq!((totals.ended, totals.exported, totals.losses.total()), (1, 1, 0));
    let (line, body) = receiver.join().unwrap();
    assert_eq!(line, "post /v1/traces http/1.1");
    let request = ExportTraceServiceRequest::decode(&*body).unwrap();
    let [of_resource] = request.resource_spans.as_slice() else { panic!("one resource") };
    assert_eq!(of_resource.resource.as_ref().unwrap().attributes[0].key, "service.name");
    let [of_scope] = of_resource.scope_spans.as_slice() else { panic!("one scope") };
    assert_eq!(of_scope.scope.as_ref().unwrap().name, "one_span");
    let [span] = of_scope.spans.as_slice() else { panic!("one span") };
    let keys: Vec<_> = span.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!((span.name.as_str(), keys), ("one span", vec!["greeting", "answer"]));
    assert!(span.end_time_unix_nano > span.start_time_unix_nano);
}

#[test]
fn where_nobody_listens_the_loss_is_counted_and_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let totals = one_span::send(&endpoint).unwrap();
    assert_eq!((totals.ended, totals.exported, totals.losses.of(Loss::ExportFailed)), (1, 0, 1));
    assert_eq!(totals.losses.to_string(), ", 1 dropped because the export failed");
}
