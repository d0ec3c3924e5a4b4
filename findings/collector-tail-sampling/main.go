// Which traces the Collector's tail_sampling keeps, by the two policies that everybody begins with.
package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
)

// trace has spans of a millisecond, which begin at these milliseconds.
func trace(number byte, name string, begins ...int) (ptrace.Traces, ptrace.Span) {
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	start := time.Now().Add(-time.Minute)
	for at, begin := range begins {
		span := spans.AppendEmpty()
		span.SetTraceID([16]byte{15: number})
		span.SetSpanID([8]byte{6: number, 7: byte(at + 1)})
		span.SetName(name)
		from := start.Add(time.Duration(begin) * time.Millisecond)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(from))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(from.Add(time.Millisecond)))
	}
	return traces, spans.At(0)
}

func main() {
	factory := tailsamplingprocessor.NewFactory()
	config := factory.CreateDefaultConfig()
	must(confmap.NewFromStringMap(map[string]any{
		"decision_wait": "1s",
		"policies": []any{
			map[string]any{"name": "failed", "type": "status_code",
				"status_code": map[string]any{"status_codes": []any{"ERROR"}}},
			map[string]any{"name": "slow", "type": "latency", "latency": map[string]any{"threshold_ms": 500}},
		},
	}).Unmarshal(config))
	ctx := context.Background()
	out := new(consumertest.TracesSink)
	processor, err := factory.CreateTraces(ctx, processortest.NewNopSettings(factory.Type()), config, out)
	must(err)
	must(processor.Start(ctx, componenttest.NewNopHost()))

	quick, _ := trace(1, "quick", 0)
	apart, _ := trace(2, "two of a millisecond, 600 apart", 0, 600)
	status, span := trace(3, "500 without a status", 0)
	span.Attributes().PutInt("http.response.status_code", 500)
	exception, span := trace(4, "exception without a status", 0)
	span.Events().AppendEmpty().SetName("exception")
	failed, span := trace(5, "status Error", 0)
	span.Status().SetCode(ptrace.StatusCodeError)
	for _, traces := range []ptrace.Traces{quick, apart, status, exception, failed} {
		must(processor.ConsumeTraces(ctx, traces))
	}
	for deadline := time.Now().Add(20 * time.Second); out.SpanCount() < 3 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	// What is decided at the same time, and for long enough what is not.
	time.Sleep(3 * time.Second)
	must(processor.Shutdown(ctx))
	kept := map[string]bool{}
	for _, traces := range out.AllTraces() {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					kept[span.Name()] = true
				}
			}
		}
	}
	var names []string
	for name := range kept {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Println("kept:", strings.Join(names, "; "))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
