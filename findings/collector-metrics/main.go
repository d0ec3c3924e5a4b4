// What the Collector's connectors make of spans, and its exporter of remote write of metrics: real parts, no pipeline around
// them.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"time"

	"github.com/golang/snappy"
	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/servicegraphconnector"
	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusremotewriteexporter"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// span adds a span of a millisecond of its own trace.
func span(spans ptrace.SpanSlice, number byte, name string, kind ptrace.SpanKind) ptrace.Span {
	span := spans.AppendEmpty()
	span.SetTraceID([16]byte{15: number})
	span.SetSpanID([8]byte{7: number})
	span.SetName(name)
	span.SetKind(kind)
	now := time.Now()
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
	return span
}

func of(service string) (ptrace.Traces, ptrace.SpanSlice) {
	traces := ptrace.NewTraces()
	resource := traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", service)
	return traces, resource.ScopeSpans().AppendEmpty().Spans()
}

// sums has a connector look at traces, and reads what its sum of this name says by these labels.
func sums(factory connector.Factory, config any, traces ptrace.Traces, name string, labels ...string) string {
	ctx := context.Background()
	out := new(consumertest.MetricsSink)
	made, err := factory.CreateTracesToMetrics(ctx, connectortest.NewNopSettings(factory.Type()), config, out)
	must(err)
	must(made.Start(ctx, componenttest.NewNopHost()))
	must(made.ConsumeTraces(ctx, traces))
	found := map[string]int64{}
	// The first that it tells of a count is 0.
	counted := func() (sum int64) {
		for _, value := range found {
			sum += value
		}
		return sum
	}
	for deadline := time.Now().Add(20 * time.Second); counted() == 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		for _, metrics := range out.AllMetrics() {
			read(metrics, name, labels, found)
		}
	}
	must(made.Shutdown(ctx))
	var lines []string
	for key, value := range found {
		lines = append(lines, fmt.Sprintf("%s: %d", key, value))
	}
	sort.Strings(lines)
	return strings.Join(lines, ", ")
}

func read(metrics pmetric.Metrics, name string, labels []string, found map[string]int64) {
	for _, resource := range metrics.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				if metric.Name() != name {
					continue
				}
				for _, point := range metric.Sum().DataPoints().All() {
					var values []string
					for _, label := range labels {
						value, _ := point.Attributes().Get(label)
						values = append(values, value.AsString())
					}
					found[strings.Join(values, " -> ")] = point.IntValue()
				}
			}
		}
	}
}

func main() {
	spanMetrics := spanmetricsconnector.NewFactory()
	config := spanMetrics.CreateDefaultConfig().(*spanmetricsconnector.Config)
	config.MetricsFlushInterval = 50 * time.Millisecond
	traces, spans := of("shop")
	span(spans, 1, "plain", ptrace.SpanKindServer)
	span(spans, 2, "of a half", ptrace.SpanKindServer).TraceState().FromRaw("ot=th:8")
	span(spans, 3, "of a quarter", ptrace.SpanKindServer).TraceState().FromRaw("ot=th:c")
	fmt.Println("span_metrics:", sums(spanMetrics, config, traces, "traces.span.metrics.calls", "span.name"))

	graph := servicegraphconnector.NewFactory()
	graphConfig := graph.CreateDefaultConfig().(*servicegraphconnector.Config)
	interval := 50 * time.Millisecond
	graphConfig.MetricsFlushInterval = &interval
	graphConfig.Store.TTL = 100 * time.Millisecond
	graphConfig.StoreExpirationLoop = 50 * time.Millisecond
	for _, attribute := range []string{"server.address", "net.peer.name", "peer.service"} {
		traces, spans := of("shop")
		span(spans, 4, "GET", ptrace.SpanKindClient).Attributes().PutStr(attribute, "orders")
		fmt.Printf("service_graph, %s: %s\n", attribute,
			sums(graph, graphConfig, traces, "traces_service_graph_request_total", "client", "server"))
	}
	fmt.Println("prometheus_remote_write:", remoteWrite())
}

// remoteWrite has the exporter send a gauge and a delta sum, and reads what arrives and what was said.
func remoteWrite() string {
	ctx := context.Background()
	arrived := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		must(err)
		plain, err := snappy.Decode(nil, body)
		must(err)
		var request prompb.WriteRequest
		must(request.Unmarshal(plain))
		var names []string
		for _, series := range request.Timeseries {
			for _, label := range series.Labels {
				if label.Name == "__name__" {
					names = append(names, label.Value)
				}
			}
		}
		sort.Strings(names)
		arrived <- strings.Join(names, ", ")
	}))
	defer receiver.Close()
	factory := prometheusremotewriteexporter.NewFactory()
	config := factory.CreateDefaultConfig().(*prometheusremotewriteexporter.Config)
	config.ClientConfig.Endpoint = receiver.URL
	config.TargetInfo.Enabled = false
	core, lines := observer.New(zapcore.DebugLevel)
	settings := exportertest.NewNopSettings(factory.Type())
	settings.Logger = zap.New(core)
	exporter, err := factory.CreateMetrics(ctx, settings, config)
	must(err)
	must(exporter.Start(ctx, componenttest.NewNopHost()))
	metrics := pmetric.NewMetrics()
	list := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	now := pcommon.NewTimestampFromTime(time.Now())
	gauge := list.AppendEmpty()
	gauge.SetName("temperature")
	point := gauge.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetTimestamp(now)
	point.SetDoubleValue(21)
	sum := list.AppendEmpty()
	sum.SetName("orders")
	sum.SetEmptySum().SetIsMonotonic(true)
	sum.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	point = sum.Sum().DataPoints().AppendEmpty()
	point.SetTimestamp(now)
	point.SetIntValue(3)
	answer := exporter.ConsumeMetrics(ctx, metrics)
	names := <-arrived
	must(exporter.Shutdown(ctx))
	var said []string
	for _, line := range lines.All() {
		if line.Level >= zapcore.InfoLevel {
			said = append(said, line.Message)
		}
	}
	return fmt.Sprintf("arrived: %s; error: %v; said: %s", names, answer, strings.Join(said, "; "))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
