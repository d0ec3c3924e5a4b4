;; The component of wasi:http 0.3 in benches/host_calls.rs: it makes the calls that its path asks for, and answers 200.
(component
;; CALLS
  (import "wasi:http/types@0.3.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "request" (type $request (sub resource)))
    (export "response" (type $response (sub resource)))
    (type $dns (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns-error-payload (eq $dns)))
    (type $tls (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls-alert-received-payload (eq $tls)))
    (type $size (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $field-size-payload (eq $size)))
    (type $code (variant
      (case "DNS-timeout") (case "DNS-error" $dns-error-payload) (case "destination-not-found")
      (case "destination-unavailable") (case "destination-IP-prohibited") (case "destination-IP-unroutable")
      (case "connection-refused") (case "connection-terminated") (case "connection-timeout")
      (case "connection-read-timeout") (case "connection-write-timeout") (case "connection-limit-reached")
      (case "TLS-protocol-error") (case "TLS-certificate-error")
      (case "TLS-alert-received" $tls-alert-received-payload) (case "HTTP-request-denied")
      (case "HTTP-request-length-required") (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid") (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32))
      (case "HTTP-request-header-size" (option $field-size-payload))
      (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $field-size-payload)
      (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $field-size-payload) (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $field-size-payload)
      (case "HTTP-response-transfer-coding" (option string)) (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
      (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $code)))
    (export "[method]request.get-path-with-query"
      (func (param "self" (borrow $request)) (result (option string))))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[static]response.new"
      (func (param "headers" (own $fields)) (param "contents" (option (stream u8)))
            (param "trailers" (future (result (option (own $fields)) (error $error-code))))
            (result (tuple (own $response) (future (result (error $error-code)))))))))
  (alias export $types "fields" (type $fields-type))
  (alias export $types "request" (type $request))
  (alias export $types "response" (type $response-type))
  (alias export $types "error-code" (type $error-code))
  (type $trailers (future (result (option (own $fields-type)) (error $error-code))))
  (type $sent (future (result (error $error-code))))

  (core func $path (canon lower (func $types "[method]request.get-path-with-query")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $fields (canon lower (func $types "[constructor]fields")))
  (core func $response (canon lower (func $types "[static]response.new") (memory (core memory $memory "memory"))))
  (core func $new-trailers (canon future.new $trailers))
  (core func $write-trailers (canon future.write $trailers async
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $drop-sent (canon future.drop-readable $sent))

  (core module $Main
    (import "memory" "memory" (memory 1))
    (import "calls" "run" (func $run (param i32)))
    (import "http" "path" (func $path (param i32 i32)))
    (import "http" "fields" (func $fields (result i32)))
    (import "http" "response" (func $response (param i32 i32 i32 i32 i32)))
    (import "http" "new-trailers" (func $new-trailers (result i64)))
    (import "http" "write-trailers" (func $write-trailers (param i32 i32) (result i32)))
    (import "http" "drop-sent" (func $drop-sent (param i32)))
    (func (export "handle") (param $request i32) (result i32)
      (local $trailers i64)
      ;; The path comes as an option at 0: tag, pointer, length.
      (call $path (local.get $request) (i32.const 0))
      (call $run (i32.load (i32.const 4)))
      ;; The reader's end is in the low half, the writer's in the high one.
      (local.set $trailers (call $new-trailers))
      (call $response (call $fields) (i32.const 0) (i32.const 0) (i32.wrap_i64 (local.get $trailers)) (i32.const 200))
      (call $drop-sent (i32.load (i32.const 204)))
      ;; No trailers. The host takes that from memory when it gets there, after the answer: 256 is nobody else's.
      (drop (call $write-trailers (i32.wrap_i64 (i64.shr_u (local.get $trailers) (i64.const 32))) (i32.const 256)))
      ;; The result at 208: its tag, and the response.
      (i32.store (i32.const 216) (i32.load (i32.const 200)))
      (i32.const 208)))
  (core instance $main (instantiate $Main
    (with "memory" (instance $memory))
    (with "calls" (instance $calls))
    (with "http" (instance
      (export "path" (func $path))
      (export "fields" (func $fields))
      (export "response" (func $response))
      (export "new-trailers" (func $new-trailers))
      (export "write-trailers" (func $write-trailers))
      (export "drop-sent" (func $drop-sent))))))

  (type $handle-type (func async (param "request" (own $request))
    (result (result (own $response-type) (error $error-code)))))
  (func $handle (type $handle-type) (canon lift (core func $main "handle") (memory (core memory $memory "memory"))))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/handler@0.3.0" (instance $handler)))
