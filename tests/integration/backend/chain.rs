//! One trace through four services: Python, two of ours in a row, Python again. The ends are the stock OpenTelemetry SDK,
//! and the trace is read back from Jaeger.

use super::jaeger::{Jaeger, tag};
use super::tool;
use crate::support::pounce::Pounce;
use crate::support::{Abi, eventually, pounce};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

fn python(jaeger: &Jaeger, service: &str) -> Command {
    let mut command = Command::new(tool("POUNCE_PYTHON", "opentelemetry-python-1.45.2/bin/python"));
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/service.py"))
        .env("OTEL_SERVICE_NAME", service)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", jaeger.otlp))
        .stdout(Stdio::piped());
    command
}

async fn relay(abi: Abi, jaeger: &Jaeger, service: &str) -> Pounce {
    pounce()
        .guest(abi, "relay")
        .flag("--allow-outbound", "http://127.0.0.1:*")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", jaeger.otlp))
        .env("OTEL_SERVICE_NAME", service)
        .env("OTEL_BSP_SCHEDULE_DELAY", 50)
        .start()
        .await
}

/// The last service, in Python; killed when dropped.
struct Stock {
    child: Child,
    port: u16,
}

impl Stock {
    fn start(jaeger: &Jaeger) -> Self {
        let mut child = python(jaeger, "stock").arg("serve").spawn().expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its port");
        Stock { child, port: line.trim().parse().expect("its port") }
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("our child");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_through_services_of_ours_and_others() {
    let jaeger = Jaeger::start().await;
    let stock = Stock::start(&jaeger);
    let second = relay(Abi::P3, &jaeger, "orders").await;
    let first = relay(Abi::P2, &jaeger, "gateway").await;
    let inner = json!([{ "url": format!("http://127.0.0.1:{}/reserve", stock.port), "arguments": 1 }]);
    let body = json!([{ "url": format!("http://{}/orders", second.addr()), "arguments": inner }]);
    let mut shop = python(&jaeger, "shop");
    shop.args(["call", &format!("http://{}/checkout", first.addr()), &body.to_string()]);
    let said = tokio::task::spawn_blocking(move || shop.output().expect("python runs")).await.unwrap();
    let said = String::from_utf8(said.stdout).expect("text");
    let (trace_id, answer) = said.trim().split_once(' ').unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(answer, r#"[{"status":200}]"#);

    let mut trace = Value::Null;
    eventually("six spans of one trace in Jaeger", async || {
        let found = jaeger.traces("shop", 1).await.into_iter().find(|trace| trace["traceID"] == trace_id);
        trace = found.unwrap_or_default();
        trace["spans"].as_array().is_some_and(|spans| spans.len() >= 6)
    })
    .await;
    let spans = trace["spans"].as_array().unwrap();
    let line = |span: &Value| {
        let service = &trace["processes"][span["processID"].as_str().unwrap()]["serviceName"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{} {} {}", text(service), text(tag(span, "span.kind")), text(&span["operationName"]))
    };
    // Down the one branch that there is.
    let mut path = Vec::new();
    let mut parent = None;
    while let Some(span) = spans.iter().find(|span| {
        let of = span["references"].as_array().and_then(|all| all.first()).map(|of| &of["spanID"]);
        of == parent
    }) {
        path.push(line(span));
        parent = Some(&span["spanID"]);
        assert!(path.len() <= spans.len(), "a ring: {path:?}");
    }
    assert_eq!(
        path,
        [
            "shop client checkout",
            "gateway server POST /checkout",
            "gateway client POST",
            "orders server POST /orders",
            "orders client POST",
            "stock server reserve",
        ]
    );
    assert_eq!(spans.len(), 6, "{trace}");
    let call = spans.iter().find(|span| line(span) == "orders client POST").unwrap();
    assert_eq!(*tag(call, "http.response.status_code"), 204);
}
