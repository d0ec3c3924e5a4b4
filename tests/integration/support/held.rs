//! Requests that are under way until the test ends them, whatever else the machine has to do: their bodies are not over.

use super::client::{self, Answer, Connection, FrameSender, Protocol, streamed};
use super::eventually;
use bytes::Bytes;
use http::{Method, Response};
use hyper::body::{Frame, Incoming};
use std::net::SocketAddr;
use tokio::task::JoinHandle;

/// The whole body, which the guest `relay` takes for a list of no calls.
const BODY: [&str; 2] = ["[", "]"];

/// A request of which the guest has got half a body.
///
/// The guest `echo` begins its response all the same, and ends it with the body; `relay` answers when it has it whole.
pub(crate) struct Held {
    connection: Connection,
    response: JoinHandle<hyper::Result<Response<Incoming>>>,
    upload: FrameSender,
}

impl Held {
    /// Begins a `POST path` on a connection of its own. Whether the server has got it shows elsewhere.
    pub(crate) async fn begin(addr: SocketAddr, protocol: Protocol, path: &str) -> Self {
        Self::begin_on(Connection::open(addr, protocol).await, path).await
    }

    /// Sends the request on a connection that is there.
    pub(crate) async fn begin_on(mut connection: Connection, path: &str) -> Self {
        let (upload, body) = streamed();
        upload.send(Ok(Frame::data(Bytes::from(BODY[0])))).await.expect("the body is open");
        let response = tokio::spawn(connection.start(client::request(Method::POST, path, body)));
        Held { connection, response, upload }
    }

    /// Waits for the head of the response.
    pub(crate) async fn answered(&self) {
        eventually("the response head", async || self.response.is_finished()).await;
    }

    /// The response, whose request never ends.
    pub(crate) async fn response(self) -> Response<Incoming> {
        let response = self.response.await.expect("no panic").expect("a response");
        // The connection and the body stay open.
        std::mem::forget((self.connection, self.upload));
        response
    }

    /// Ends the body; the whole response, and the connection on which it came.
    pub(crate) async fn end(self) -> (Connection, Answer) {
        self.upload.send(Ok(Frame::data(Bytes::from(BODY[1])))).await.expect("the body is open");
        drop(self.upload);
        let response = self.response.await.expect("no panic").expect("a response");
        (self.connection, Answer::read(response).await)
    }
}
