//! Returns without having set a response.

use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct NoResponse;

impl wasip2::exports::http::incoming_handler::Guest for NoResponse {
    fn handle(_request: IncomingRequest, _out: ResponseOutparam) {}
}

wasip2::http::proxy::export!(NoResponse with_types_in wasip2);
