//! An h2 server, and a client with two uploads at once: one that the server lets go of (its `RecvStream` is dropped) or
//! reads (argument `read`), and one that is left alone. 1,000 frames of one byte come of the first, a millisecond apart.

use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let reads = std::env::args().nth(1).as_deref() == Some("read");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("a bound socket");
    tokio::spawn(serve(listener, reads));

    let socket = TcpStream::connect(addr).await.expect("it listens");
    let handshake = h2::client::Builder::new().handshake::<_, Bytes>(socket);
    let (sender, connection) = handshake.await.expect("a handshake");
    let connection = tokio::spawn(connection);
    let post = || http::Request::post("http://a/").body(()).expect("a request");
    let mut sender = sender.ready().await.expect("room for a stream");
    let (_response, mut upload) = sender.send_request(post(), false).expect("a stream");
    let mut sender = sender.ready().await.expect("room for a stream");
    let (_other_response, _other) = sender.send_request(post(), false).expect("a stream");
    for _ in 0..1000 {
        if upload.send_data(Bytes::from_static(b"x"), false).is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if connection.is_finished() {
        let error = connection.await.expect("no panic").expect_err("it was ended by the server");
        println!("{error}");
    } else {
        println!("the connection goes on");
    }
}

async fn serve(listener: TcpListener, reads: bool) {
    let (socket, _) = listener.accept().await.expect("the client");
    let mut connection = h2::server::handshake(socket).await.expect("a handshake");
    let mut unanswered = Vec::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        unanswered.push(respond);
        let mut body = request.into_body();
        if reads {
            tokio::spawn(async move {
                while let Some(Ok(data)) = body.data().await {
                    body.flow_control().release_capacity(data.len()).expect("what was received");
                }
            });
        }
    }
}
