//! HTTP/1.1, h2c and raw TCP clients. Each connection is the test's own: nothing is pooled or retried.

use super::{eventually, within};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

/// A request body of any kind.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1
    H1,
    /// HTTP/2 without TLS, by prior knowledge
    H2,
}

impl Protocol {
    /// All that a listener speaks.
    pub(crate) const BOTH: [Self; 2] = [Self::H1, Self::H2];
}

/// No body.
pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body known whole, sent with its length.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Sends the frames of a [`streamed`] body; dropping it ends the body.
pub(crate) type FrameSender = mpsc::Sender<io::Result<Frame<Bytes>>>;

/// A body written while the request is under way. One frame is buffered, so that sending feels the server's pace.
pub(crate) fn streamed() -> (FrameSender, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, StreamBody::new(stream).boxed_unsync())
}

/// A request for `path`; [`Connection::send`] adds the authority.
pub(crate) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body).expect("a valid request")
}

/// `GET path`.
pub(crate) fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, empty())
}

/// `POST path` with a body known whole.
pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    request(Method::POST, path, full(body))
}

/// Adds a header to a request.
pub(crate) trait WithHeader {
    /// `self` with one more header.
    fn with(self, name: &'static str, value: impl AsRef<[u8]>) -> Self;
}

impl WithHeader for Request<Body> {
    fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = http::HeaderValue::from_bytes(value.as_ref()).expect("a valid value");
        self.headers_mut().append(name, value);
        self
    }
}

/// One connection.
pub(crate) struct Connection {
    addr: SocketAddr,
    scheme: &'static str,
    sender: Sender,
    driver: tokio::task::JoinHandle<hyper::Result<()>>,
    socket: socket2::Socket,
}

enum Sender {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(addr: SocketAddr, protocol: Protocol) -> Self {
        Self::over(TcpStream::connect(addr).await.expect("it listens"), addr, protocol).await
    }

    /// Connects as somebody else: from 127.0.0.2.
    pub(crate) async fn open_elsewhere(addr: SocketAddr, protocol: Protocol) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 2], 0).into()).expect("all of 127.0.0.0/8 is ours");
        Self::over(socket.connect(addr).await.expect("it listens"), addr, protocol).await
    }

    async fn over(stream: TcpStream, addr: SocketAddr, protocol: Protocol) -> Self {
        let socket = socket2::SockRef::from(&stream).try_clone().expect("room for one more");
        Self::within(stream, socket, "http", addr, protocol).await
    }

    /// Speaks within a stream that has been encrypted, which is that of `socket`.
    pub(crate) async fn encrypted(
        stream: TlsStream<TcpStream>,
        addr: SocketAddr,
        protocol: Protocol,
    ) -> Self {
        let socket = socket2::SockRef::from(stream.get_ref().0).try_clone().expect("room for one more");
        Self::within(stream, socket, "https", addr, protocol).await
    }

    async fn within(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        socket: socket2::Socket,
        scheme: &'static str,
        addr: SocketAddr,
        protocol: Protocol,
    ) -> Self {
        let io = TokioIo::new(stream);
        let (sender, driver) = match protocol {
            Protocol::H1 => {
                let (sender, connection) = http1::handshake(io).await.expect("a handshake");
                (Sender::H1(sender), tokio::spawn(connection))
            }
            Protocol::H2 => {
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.expect("a handshake");
                (Sender::H2(sender), tokio::spawn(connection))
            }
        };
        Connection { addr, scheme, sender, driver, socket }
    }

    /// Sends a request; the future is the head of its response. On HTTP/2 several can be under way.
    pub(crate) fn start(
        &mut self,
        mut request: Request<Body>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + 'static {
        let response: Pin<Box<dyn Future<Output = _> + Send>> = match &mut self.sender {
            Sender::H1(sender) => {
                let host = self.addr.to_string().parse().expect("an authority");
                request.headers_mut().entry(header::HOST).or_insert(host);
                Box::pin(sender.send_request(request))
            }
            Sender::H2(sender) => {
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                *request.uri_mut() = format!("{}://{}{path}", self.scheme, self.addr).parse().expect("a URI");
                *request.version_mut() = Version::HTTP_2;
                Box::pin(sender.send_request(request))
            }
        };
        async { within("the response head", response).await }
    }

    /// Sends a request and waits for the head of its response.
    pub(crate) async fn try_send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::H1(sender) => within("the earlier response to end", sender.ready()).await?,
            Sender::H2(sender) => within("the connection to be ready", sender.ready()).await?,
        }
        self.start(request).await
    }

    /// Sends a request, whose response head must come.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.try_send(request).await.expect("a response")
    }

    /// Sends a request and reads its response to the end.
    pub(crate) async fn fetch(&mut self, request: Request<Body>) -> Answer {
        Answer::read(self.send(request).await).await
    }

    /// Waits until the connection has ended.
    pub(crate) async fn closed(self) -> hyper::Result<()> {
        within("the end of the connection", self.driver).await.expect("no panic")
    }

    /// Ends the connection at once with a reset, as the kernel of a client does that went away.
    pub(crate) fn abort(self) {
        self.socket.set_linger(Some(std::time::Duration::ZERO)).expect("an open socket");
        // hyper's driver of HTTP/2 is not all that holds the connection. The server may have been quicker.
        _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.driver.abort();
    }
}

/// A response read to its end, or as far as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: StatusCode,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// What came of the body.
    pub(crate) body: Vec<u8>,
    /// Trailers, where there were any.
    pub(crate) trailers: Option<HeaderMap>,
    /// Why the body ended early.
    pub(crate) error: Option<hyper::Error>,
}

impl Answer {
    /// Reads `response` to its end.
    pub(crate) async fn read(response: Response<Incoming>) -> Answer {
        let (head, mut incoming) = response.into_parts();
        let mut answer = Answer {
            status: head.status,
            headers: head.headers,
            body: Vec::new(),
            trailers: None,
            error: None,
        };
        while let Some(frame) = within("the next part of the body", incoming.frame()).await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => answer.body.extend_from_slice(&data),
                Ok(Err(frame)) => answer.trailers = frame.into_trailers().ok(),
                Err(error) => {
                    answer.error = Some(error);
                    break;
                }
            }
        }
        answer
    }

    /// The body as text, which must have come whole.
    pub(crate) fn text(&self) -> &str {
        assert!(self.error.is_none(), "the body broke off: {:?}", self.error);
        std::str::from_utf8(&self.body).expect("text")
    }

    /// A header as text, empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The HTTP/2 error code with which the stream was reset.
    pub(crate) fn reset(&self) -> Option<h2::Reason> {
        let source = std::error::Error::source(self.error.as_ref()?)?;
        source.downcast_ref::<h2::Error>().filter(|error| error.is_reset())?.reason()
    }
}

/// One request on a connection of its own.
pub(crate) async fn fetch(addr: SocketAddr, protocol: Protocol, request: Request<Body>) -> Answer {
    Connection::open(addr, protocol).await.fetch(request).await
}

/// A `GET` whose response head has come, so that it is in flight until its body is read or its connection dropped.
/// Tries again while it is shed: the place of an earlier request may not be free yet.
pub(crate) async fn hold(
    addr: SocketAddr,
    protocol: Protocol,
    path: &str,
) -> (Connection, Response<Incoming>) {
    let mut held = None;
    eventually("a request to be let in", async || {
        let mut connection = Connection::open(addr, protocol).await;
        let response = connection.send(get(path)).await;
        let shed = response.status() == StatusCode::SERVICE_UNAVAILABLE;
        held = Some((connection, response));
        !shed
    })
    .await;
    held.expect("let in")
}

/// One HTTP/1.1 `GET` on a connection of its own.
pub(crate) async fn fetch_path(addr: SocketAddr, path: &str) -> Answer {
    fetch(addr, Protocol::H1, get(path)).await
}

/// The JSON that a `GET` of this path is answered with.
pub(crate) async fn fetch_json(addr: SocketAddr, path: &str) -> serde_json::Value {
    let answer = fetch_path(addr, path).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"), "{path}");
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// Bytes on a socket, for what no HTTP library would send.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    /// Connects.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Raw(TcpStream::connect(addr).await.expect("it listens"))
    }

    /// Writes all of `bytes`; a peer that has hung up is no failure of the test.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("the peer to read", self.0.write_all(bytes.as_ref())).await
    }

    /// Waits until the peer, a process of this machine, has read all that was written.
    pub(crate) async fn taken(&self) {
        let (ours, theirs) = (self.0.local_addr().expect("open"), self.0.peer_addr().expect("open"));
        eventually("the peer to read", async || {
            // Nothing is on its way, and nothing has come that was not read.
            waiting(ours, theirs).is_some_and(|(unsent, _)| unsent == 0)
                && waiting(theirs, ours).is_some_and(|(_, unread)| unread == 0)
        })
        .await;
    }

    /// Reads until `end` has come, or the connection is closed.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(end.as_bytes()) {
            match within(&format!("{end:?} from the peer"), self.0.read_u8()).await {
                Ok(byte) => got.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&got).into_owned()
    }

    /// Reads what there is, `most` bytes of it.
    pub(crate) async fn read_some(&mut self, most: usize) {
        let mut part = vec![0; most];
        // The end shows at the next read.
        let _bytes = within("the peer to write", self.0.read(&mut part)).await;
    }

    /// Reads until the peer closes; a reset is an end too.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut got = Vec::new();
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = within("the peer to close", self.0.read(&mut part)).await {
            got.extend_from_slice(&part[..n]);
        }
        String::from_utf8_lossy(&got).into_owned()
    }

    /// Ends the connection with a reset, as a crashed client's kernel does.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(std::time::Duration::ZERO)).expect("an open socket");
    }
}

/// Bytes that the kernel holds of the connection from `local` to `remote`, as it tells in `/proc/net/tcp`: sent and not
/// acknowledged, received and not read.
fn waiting(local: SocketAddr, remote: SocketAddr) -> Option<(u64, u64)> {
    let named = |addr: SocketAddr| match addr.ip() {
        // An address is a number in the machine's own order.
        IpAddr::V4(ip) => format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), addr.port()),
        IpAddr::V6(_) => panic!("the tests use IPv4"),
    };
    let (local, remote) = (named(local), named(remote));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a kernel with TCP");
    let of_it = |line: &&str| line.split_whitespace().skip(1).take(2).eq([&local, &remote]);
    let (unsent, unread) = table.lines().find(of_it)?.split_whitespace().nth(4)?.split_once(':')?;
    Some((u64::from_str_radix(unsent, 16).ok()?, u64::from_str_radix(unread, 16).ok()?))
}
