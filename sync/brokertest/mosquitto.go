package brokertest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Mosquitto is a real Mosquitto in a process of its own, with a persistence
// file in the test's directory.
type Mosquitto struct {
	t    testing.TB
	path string
	addr string
	conf string
	log  syncBuffer

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// StartMosquitto runs a Mosquitto until the test ends. Where none is
// installed it skips the test and says so. Lines of extra go into its
// configuration.
func StartMosquitto(t testing.TB, extra ...string) *Mosquitto {
	t.Helper()
	path, err := findMosquitto()
	if err != nil {
		t.Skipf("no Mosquitto: %v (Debian: apt-get install mosquitto)", err)
	}
	dir := t.TempDir()
	m := &Mosquitto{t: t, path: path, conf: filepath.Join(dir, "mosquitto.conf")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(m.addr)
	var conf bytes.Buffer
	fmt.Fprintf(&conf, "listener %s 127.0.0.1\nallow_anonymous true\n", port)
	fmt.Fprintf(&conf, "persistence true\npersistence_location %s/\nautosave_interval 60\n", dir)
	fmt.Fprintf(&conf, "max_queued_messages 100000\nmax_inflight_messages 100\nconnection_messages false\n")
	if os.Geteuid() == 0 {
		// Else it gives up its rights and cannot write its file.
		fmt.Fprintln(&conf, "user root")
	}
	for _, line := range extra {
		fmt.Fprintln(&conf, line)
	}
	if err := os.WriteFile(m.conf, conf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Restart()
	t.Cleanup(func() {
		m.Kill()
		if t.Failed() {
			t.Logf("mosquitto said:\n%s", m.log.String())
		}
	})
	return m
}

func findMosquitto() (string, error) {
	path, err := exec.LookPath("mosquitto")
	if err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/mosquitto" // not in everybody's PATH
	if _, serr := os.Stat(debian); serr == nil {
		return debian, nil
	}
	return "", err
}

// URL is what mqttlink.Options.Broker takes.
func (m *Mosquitto) URL() string { return "mqtt://" + m.addr }

// Saved gives when its persistence file was last written; false while there is
// none, so that a kill now loses all that is retained.
func (m *Mosquitto) Saved() (time.Time, bool) {
	info, err := os.Stat(filepath.Join(filepath.Dir(m.conf), "mosquitto.db"))
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// Memory gives how many bytes it holds in memory, now and at most since its
// start. It skips the test where the system does not say.
func (m *Mosquitto) Memory() (now, most int64) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		m.t.Fatal("mosquitto is not running")
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		m.t.Skipf("the memory of a process is not to be had: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			now = kib << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			most = kib << 10
		}
	}
	return now, most
}

// Kill ends it with SIGKILL: nothing is written that was not written before.
func (m *Mosquitto) Kill() { m.end(syscall.SIGKILL) }

// Stop ends it with SIGTERM: it writes its persistence file.
func (m *Mosquitto) Stop() { m.end(syscall.SIGTERM) }

func (m *Mosquitto) end(sig syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(sig)
	<-m.exited
	m.cmd = nil
}

// Restart starts it on the same port with what its file holds.
func (m *Mosquitto) Restart() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		m.t.Fatal("mosquitto is running")
	}
	cmd := exec.Command(m.path, "-c", m.conf)
	cmd.Stdout, cmd.Stderr = &m.log, &m.log
	if err := cmd.Start(); err != nil {
		m.t.Fatalf("mosquitto: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	m.cmd, m.exited = cmd, exited
	for range 200 {
		select {
		case <-exited:
			m.cmd = nil
			m.t.Fatalf("mosquitto ended at once:\n%s", m.log.String())
		default:
		}
		if c, err := net.Dial("tcp", m.addr); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	m.t.Fatalf("mosquitto does not listen on %s:\n%s", m.addr, m.log.String())
}

// syncBuffer is a bytes.Buffer for a writer and a reader.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
