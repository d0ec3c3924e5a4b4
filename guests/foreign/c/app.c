// A handler of wasi:http 0.2 in C, by the bindings that wit-bindgen makes: greets, echoes a POST by splicing the streams,
// and traps at /trap.
#include <string.h>

#include "proxy.h"

static wasi_http_types_own_output_stream_t start(
    exports_wasi_http_incoming_handler_own_response_outparam_t out, uint16_t status, wasi_http_types_own_outgoing_body_t *body) {
  wasi_http_types_own_outgoing_response_t response =
      wasi_http_types_constructor_outgoing_response(wasi_http_types_constructor_fields());
  wasi_http_types_method_outgoing_response_set_status_code(wasi_http_types_borrow_outgoing_response(response), status);
  wasi_http_types_method_outgoing_response_body(wasi_http_types_borrow_outgoing_response(response), body);
  wasi_http_types_own_output_stream_t stream;
  wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(*body), &stream);
  wasi_http_types_result_own_outgoing_response_error_code_t answer = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(out, &answer);
  return stream;
}

static void finish(wasi_http_types_own_output_stream_t stream, wasi_http_types_own_outgoing_body_t body) {
  wasi_io_streams_output_stream_drop_own(stream);
  wasi_http_types_error_code_t error;
  wasi_http_types_static_outgoing_body_finish(body, NULL, &error);
}

static void answer(exports_wasi_http_incoming_handler_own_response_outparam_t out, uint16_t status, const char *text) {
  wasi_http_types_own_outgoing_body_t body;
  wasi_http_types_own_output_stream_t stream = start(out, status, &body);
  proxy_list_u8_t bytes = {(uint8_t *)text, strlen(text)};
  wasi_io_streams_stream_error_t error;
  wasi_io_streams_method_output_stream_blocking_write_and_flush(wasi_io_streams_borrow_output_stream(stream), &bytes, &error);
  finish(stream, body);
}

static void echo(wasi_http_types_own_incoming_request_t request, exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  wasi_http_types_own_incoming_body_t incoming;
  wasi_http_types_method_incoming_request_consume(wasi_http_types_borrow_incoming_request(request), &incoming);
  wasi_http_types_own_input_stream_t input;
  wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(incoming), &input);
  wasi_http_types_own_outgoing_body_t body;
  wasi_http_types_own_output_stream_t output = start(out, 200, &body);
  uint64_t moved;
  wasi_io_streams_stream_error_t error;
  while (wasi_io_streams_method_output_stream_blocking_splice(
      wasi_io_streams_borrow_output_stream(output), wasi_io_streams_borrow_input_stream(input), 65536, &moved, &error)) {
  }
  wasi_io_streams_stream_error_free(&error);
  wasi_io_streams_input_stream_drop_own(input);
  wasi_http_types_incoming_body_drop_own(incoming);
  finish(output, body);
}

static int answered = 0;

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t request,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  proxy_string_t path;
  if (!wasi_http_types_method_incoming_request_path_with_query(wasi_http_types_borrow_incoming_request(request), &path)) {
    proxy_string_dup(&path, "/");
  }
  const char *target = (const char *)path.ptr;
  // Requests that the instance has answered, this one among them.
  answered++;
  if (path.len == 1) {
    answer(out, 200, "Hello from C!\n");
  } else if (path.len == 5 && memcmp(target, "/echo", 5) == 0) {
    echo(request, out);
  } else if (path.len == 6 && memcmp(target, "/count", 6) == 0) {
    answer(out, 200, answered > 1 ? "more than one\n" : "one\n");
  } else if (path.len == 5 && memcmp(target, "/trap", 5) == 0) {
    __builtin_trap();
  } else {
    answer(out, 404, "nothing is here\n");
  }
  proxy_string_free(&path);
  wasi_http_types_incoming_request_drop_own(request);
}
