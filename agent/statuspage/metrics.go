package statuspage

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"gateagent/agent/feed"
	"gateagent/agent/gate"
	"gateagent/agent/health"
)

// meter counts decisions since the start; everything else in /metrics is read
// from the box when it is asked for.
type meter struct {
	set   *metrics.Set
	took  *metrics.PrometheusHistogram
	write *metrics.PrometheusHistogram
	late  *metrics.Counter
	relay *metrics.Counter
}

// bounds of the histograms in seconds; 0.25 is record.wait's default.
var bounds = []float64{.005, .01, .025, .05, .1, .15, .2, .25, .5, 1, 2.5}

func newMeter() *meter {
	set := metrics.NewSet()
	return &meter{
		set:   set,
		took:  set.NewPrometheusHistogramExt("gate_decision_seconds", bounds),
		write: set.NewPrometheusHistogramExt("gate_record_seconds", bounds),
		late:  set.NewCounter("gate_record_late_total"),
		relay: set.NewCounter("gate_relay_faults_total"),
	}
}

func (m *meter) observe(d feed.Decision) {
	m.took.Update(d.Took.Seconds())
	m.write.Update(d.Record.Seconds())
	if d.Late {
		m.late.Inc()
	}
	if d.RelayFault != "" {
		m.relay.Inc()
	}
}

func (s *Server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	var body bytes.Buffer
	if s.o.Box == nil {
		metrics.WriteGaugeUint64(&body, "gate_can_decide", 0)
	} else {
		writeBox(&body, s.o.Box())
	}
	s.metrics.set.WritePrometheus(&body)
	metrics.WriteProcessMetrics(&body)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = body.WriteTo(w) // a reader that went away
}

// writeBox writes the state of the box. Names and labels are listed in
// configs/README.md.
func writeBox(w io.Writer, b health.Box) {
	gauge := func(name string, v uint64) { metrics.WriteGaugeUint64(w, name, v) }
	seconds := func(name string, d time.Duration) { metrics.WriteGaugeFloat64(w, name, d.Seconds()) }
	yes := func(v bool) uint64 {
		if v {
			return 1
		}
		return 0
	}
	gauge(fmt.Sprintf("gate_info{site=%q,gate=%q,version=%q}", b.Site, b.Gate, b.Version), 1)
	gauge("gate_can_decide", yes(b.CanDecide))
	seconds("gate_uptime_seconds", b.Now.Sub(b.Started))
	for _, c := range b.Components {
		gauge(fmt.Sprintf("gate_component_level{component=%q}", c.Name), uint64(c.Level))
	}
	for _, l := range b.Lanes {
		if l.Picture >= 0 {
			seconds(fmt.Sprintf("gate_picture_age_seconds{lane=%q}", l.Name), l.Picture)
		}
		for _, v := range gate.Verdicts() {
			metrics.WriteCounterUint64(w, fmt.Sprintf("gate_decisions_total{lane=%q,verdict=%q}", l.Name, v), l.Decisions[v])
		}
	}
	for _, d := range b.Sets {
		label := fmt.Sprintf("{set=%q}", d.Set)
		gauge("gate_data_version"+label, d.Version)
		gauge("gate_data_people"+label, d.People)
		gauge("gate_data_has_key"+label, yes(d.HasKey))
		if !d.Issued.IsZero() {
			seconds("gate_data_age_seconds"+label, b.Now.Sub(d.Issued))
		}
	}
	gauge("gate_keys_on_disk", yes(b.Theft.OnDisk()))
	gauge("gate_policy_version", b.Policy.Version)
	gauge("gate_policy_level", uint64(max(b.Policy.Level, 0)))
	gauge("gate_policy_built_in", yes(b.Policy.BuiltIn))
	gauge("gate_trust_version", b.Trust.Version)
	gauge("gate_revoked_version", b.Proofs.Revoked.Version)
	for _, c := range b.Proofs.Counts {
		metrics.WriteCounterUint64(w, fmt.Sprintf("gate_proofs_total{what=%q,outcome=%q}", c.What, c.Outcome), c.Count)
	}
	gauge("gate_passes_spent", uint64(max(b.Proofs.Spent, 0)))
	gauge("gate_clock_level", uint64(b.Clock))
	gauge("gate_queue_entries", b.Journal.Queue())
	if !b.Journal.Oldest.IsZero() {
		seconds("gate_queue_age_seconds", b.Now.Sub(b.Journal.Oldest))
	}
	gauge("gate_journal_seq", b.Journal.Seq)
	gauge("gate_journal_bytes", uint64(max(b.Journal.Bytes, 0)))
	gauge("gate_journal_max_bytes", uint64(max(b.Journal.Max, 0)))
	gauge("gate_link_connected", yes(b.Link.Connected))
	if !b.Link.Central.IsZero() {
		seconds("gate_central_silence_seconds", b.Now.Sub(b.Link.Central))
	}
}
