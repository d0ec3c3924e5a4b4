// Prometheus' OTLP receiver: its own handler over its own database, asked with one request of two metrics at a time.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// request has a gauge, and behind it a monotonic sum of this temporality.
func request(temporality pmetric.AggregationTemporality) []byte {
	metrics := pmetric.NewMetrics()
	resource := metrics.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	list := resource.ScopeMetrics().AppendEmpty().Metrics()
	now := time.Now().UnixNano()
	gauge := list.AppendEmpty()
	gauge.SetName("temperature")
	point := gauge.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.Timestamp(now))
	point.SetDoubleValue(21)
	sum := list.AppendEmpty()
	sum.SetName("orders")
	data := sum.SetEmptySum()
	data.SetIsMonotonic(true)
	data.SetAggregationTemporality(temporality)
	point = data.DataPoints().AppendEmpty()
	point.SetStartTimestamp(pcommon.Timestamp(now - 1e9))
	point.SetTimestamp(pcommon.Timestamp(now))
	point.SetIntValue(3)
	body, err := pmetricotlp.NewExportRequestFromMetrics(metrics).MarshalProto()
	must(err)
	return body
}

func main() {
	for _, temporality := range []pmetric.AggregationTemporality{
		pmetric.AggregationTemporalityCumulative,
		pmetric.AggregationTemporalityDelta,
	} {
		folder, err := os.MkdirTemp("", "prometheus")
		must(err)
		options := tsdb.DefaultOptions()
		database, err := tsdb.Open(folder, slog.New(slog.DiscardHandler), nil, options, nil)
		must(err)
		settings := func() config.Config { return config.DefaultConfig }
		receiver := remote.NewOTLPWriteHandler(
			slog.New(slog.DiscardHandler), nil, database, settings, remote.OTLPOptions{})
		ask := httptest.NewRequest("POST", "/api/v1/otlp/v1/metrics", bytes.NewReader(request(temporality)))
		ask.Header.Set("Content-Type", "application/x-protobuf")
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, ask)

		querier, err := database.Querier(0, time.Now().UnixMilli()+1000)
		must(err)
		everything := labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+")
		found := querier.Select(context.Background(), true, nil, everything)
		var names []string
		for found.Next() {
			names = append(names, found.At().Labels().Get(labels.MetricName))
		}
		must(found.Err())
		if names == nil {
			names = []string{"nothing"}
		}
		fmt.Printf("%v: %d %s; stored: %s\n", temporality, answer.Code,
			strings.TrimSpace(answer.Body.String()), strings.Join(names, ", "))
		must(querier.Close())
		must(database.Close())
		must(os.RemoveAll(folder))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
