//! Writes a body, and ends it well or not: see [`order`].

use std::pin::pin;
use std::task::Poll;

use guest_http::p3::{self, BodyEnd};
use guest_http::{Call, error_name};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::{FutureWriter, StreamWriter};
use wasip3::{wit_future, wit_stream};

#[path = "../order.rs"]
mod order;
use order::{Ending, Order};

struct Bodies;

impl wasip3::exports::http::handler::Guest for Bodies {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let order = Order::of(&p3::target(&request));
        if let Some(call) = &order.pass {
            return pass(call).await;
        }
        if let Some(call) = order.to.clone() {
            let outcome =
                send(&call, order).await.map_or_else(|code| error_name(&code), |status| status.to_string());
            return Ok(p3::respond(200, p3::content_type("text/plain"), outcome.into_bytes()));
        }
        let (body, contents) = wit_stream::new();
        let (end, trailers) = wit_future::new(|| Ok(None));
        let (response, _transmitted) = Response::new(fields(&order), Some(contents), trailers);
        response.set_status_code(order.status).expect("a status");
        wasip3::spawn_local(async move {
            write(body, end, &order).await;
            p3::wait(order.linger).await;
        });
        Ok(response)
    }
}

fn fields(order: &Order) -> Fields {
    let fields = p3::content_type("text/plain");
    if let Some(length) = &order.length {
        fields.append("content-length", length.as_bytes()).expect("a length");
    }
    if order.trailers {
        fields.append("trailer", b"x-end").expect("a name");
    }
    fields
}

/// Writes the body and ends it.
async fn write(mut body: StreamWriter<u8>, end: FutureWriter<BodyEnd>, order: &Order) {
    for size in &order.pieces {
        if !body.write_all(vec![b'x'; *size]).await.is_empty() {
            break;
        }
    }
    p3::wait(order.pause).await;
    match order.ending {
        Ending::Finish => {
            drop(body);
            let trailers = order.trailers.then(|| {
                Fields::from_list(&[("x-end".to_owned(), b"yes".to_vec())]).expect("a valid header")
            });
            let _ = end.write(Ok(trailers)).await;
            return;
        }
        Ending::Drop => drop(body),
        Ending::Leak | Ending::Trap | Ending::Exit => std::mem::forget(body),
    }
    std::mem::forget(end);
    match order.ending {
        Ending::Trap => core::arch::wasm32::unreachable(),
        Ending::Exit => std::process::exit(0),
        _ => {}
    }
}

/// POSTs the body; the status that comes back, or 0 where the call is given up with its body left open.
async fn send(call: &Call, order: Order) -> Result<u16, ErrorCode> {
    let (body, contents) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (request, _transmitted) = Request::new(fields(&order), Some(contents), trailers, None);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_method(&Method::Post).map_err(invalid)?;
    request.set_scheme(Some(&Scheme::Http)).map_err(invalid)?;
    request.set_authority(Some(&call.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&call.path_with_query)).map_err(invalid)?;
    let sending = client::send(request);
    if matches!(order.ending, Ending::Leak) {
        let (mut sending, mut written) = (pin!(sending), pin!(write(body, end, &order)));
        return std::future::poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(response.map(|response| response.get_status_code())),
            Poll::Pending => written.as_mut().poll(cx).map(|()| Ok(0)),
        })
        .await;
    }
    wasip3::spawn_local(async move { write(body, end, &order).await });
    let response = sending.await?;
    let status = response.get_status_code();
    let (_, received) = wit_future::new(|| Ok(()));
    let (stream, end) = Response::consume_body(response, received);
    stream.collect().await;
    end.await?;
    Ok(status)
}

/// Answers what the URL does.
async fn pass(call: &Call) -> Result<Response, ErrorCode> {
    let fields = Fields::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _transmitted) = Request::new(fields, None, trailers, None);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&Scheme::Http)).map_err(invalid)?;
    request.set_authority(Some(&call.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&call.path_with_query)).map_err(invalid)?;
    let answer = client::send(request).await?;
    let fields = Fields::new();
    for (name, value) in answer.get_headers().copy_all() {
        // Those of the connection are not for guests.
        let _ = fields.append(&name, &value);
    }
    let status = answer.get_status_code();
    let (_, received) = wit_future::new(|| Ok(()));
    let (contents, end) = Response::consume_body(answer, received);
    let (response, _transmitted) = Response::new(fields, Some(contents), end);
    response.set_status_code(status).expect("a status");
    Ok(response)
}

wasip3::http::service::export!(Bodies);
