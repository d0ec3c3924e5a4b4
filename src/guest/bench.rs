//! What the benchmarks may do with guests; no part of the library's interface.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use tokio::runtime::{Builder, Runtime};

use super::{Arrival, Compiling, Guests, OwnListeners, RequestBodyError, Rooms, Share, Worker};
use crate::config::Config;
use crate::telemetry::Baggage;
use crate::telemetry::bench::Spans;

/// A component that answers requests as it would in a server, on the calling thread, without sockets.
pub struct Served {
    runtime: Runtime,
    guests: Guests,
    spans: Spans,
    places: Share,
}

impl Served {
    /// Loads the component at `path`; `traced` is whether telemetry is on, its spans going nowhere.
    ///
    /// # Errors
    /// Every reason for which it cannot be served.
    pub fn load(path: &Path, traced: bool) -> anyhow::Result<Self> {
        let mut config = Config::new(path);
        config.http.max_in_flight = 8;
        if traced {
            config.otel.endpoint = Some("http://127.0.0.1:4318".parse().context("the endpoint")?);
        }
        let spans = if traced { Spans::of(&config.otel) } else { Spans::off() };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let guests = runtime.block_on(Guests::load(
            path,
            "bench",
            &config,
            OwnListeners::default(),
            spans.telemetry().signals(),
            Compiling::by(Worker::Inline),
        ))?;
        Ok(Served {
            runtime,
            guests,
            spans,
            places: Share { all: Arc::new(Rooms::new(1, 1, u64::MAX)), own: None },
        })
    }

    /// One request from its head to the end of its response, which must be 200.
    ///
    /// # Errors
    /// It was not answered, or with another status.
    pub fn request(&self, request: http::Request<()>) -> anyhow::Result<()> {
        let request =
            request.map(|()| Empty::<Bytes>::new().map_err::<_, RequestBodyError>(|never| match never {}));
        self.runtime.block_on(async {
            let (head, body) = request.into_parts();
            let span = self.spans.server_span(&head);
            let place = self.places.take().map_err(|full| anyhow::anyhow!("no place: {full:?}"))?;
            let request = http::Request::from_parts(head, body);
            let answer = self
                .guests
                .invoke(request, &Arrival::default(), span.clone(), Baggage::default(), place)
                .await;
            let (head, body) = answer.map_err(|failure| anyhow::anyhow!("{}", failure.message))?.into_parts();
            span.response_head(head.status, &head.headers);
            let body = body.collect().await.map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
            span.end(body.to_bytes().len() as u64);
            anyhow::ensure!(head.status == http::StatusCode::OK, "answered {}", head.status);
            Ok(())
        })
    }

    /// Takes the encoded spans; gives their bytes.
    pub fn drain(&self) -> usize {
        self.spans.drain()
    }
}
