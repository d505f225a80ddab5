// Package config reads the settings of the box from one TOML file.
//
// It owns the list of keys with their defaults and bounds, the wording of
// every problem a technician can make in that file, and the copy of the last
// good configuration. It opens no device and starts nothing; the only files it
// looks at besides its own are the ones the settings name.
//
// There are two forms: [Report.Settings] is what was written, key by key with
// its line, and [Config] is what holds, with all defaults in. All problems of
// a file are found in one run; none speaks of Go.
package config

import (
	"log/slog"
	"time"

	"gateagent/agent/gate"
)

// Config is the settings in force: every default filled in, every path
// absolute, every value within its bounds.
type Config struct {
	Site    Site
	Storage Storage
	Record  Record
	MQTT    MQTT
	Sync    Sync
	Trust   Trust
	Keys    Keys
	Policy  Policy
	Sets    []Set
	Page    Page
	Local   Local
	Log     Log
	Lanes   []Lane // at least one
}

// Site names the box. All names match [a-z0-9][a-z0-9-]{0,31}.
type Site struct {
	ID, Gate string
	// Zones the gate belongs to: a pass that names zones is for gates of one
	// of them. At most 16, often none.
	Zones []string
}

// Storage is where the box keeps its files.
type Storage struct {
	Dir          string
	KeepAcked    time.Duration // how long acknowledged entries stay
	MaxJournalMB int           // MiB
}

// MaxJournalBytes gives the bound of the journal file in bytes.
func (s Storage) MaxJournalBytes() int64 { return int64(s.MaxJournalMB) << 20 }

// OnTimeout is what happens when the disk has not answered in time.
type OnTimeout string

// The choices of record.on_timeout.
const (
	TimeoutDeny OnTimeout = "deny"
	TimeoutOpen OnTimeout = "open"
)

// Record bounds the wait for a durable entry.
type Record struct {
	Wait      time.Duration
	OnTimeout OnTimeout
}

// MQTT is the way to central.
type MQTT struct {
	Broker       string // mqtt://host:port, the port always written
	Prefix       string // of every topic, without slash at the ends
	Username     string
	PasswordFile string // empty: no password
	KeepAlive    time.Duration
}

// Sync is how data sets are fetched.
type Sync struct {
	MaxRateKB int    // KiB a second, of all sets together; 0: unbounded
	URLs      bool   // chunks may come from the web servers that manifests name
	URLsCA    string // PEM file of certificates; empty: those of the system
}

// MaxRate gives the bound in bytes a second; 0: unbounded.
func (s Sync) MaxRate() int64 { return int64(s.MaxRateKB) << 10 }

// Trust pins central's root keys.
type Trust struct {
	RootKeys []string // "kid:base64url", one or two
}

// Keys are the keys of the box that are no data set's.
type Keys struct {
	EntryFile string // site entry key; empty: central hands it out, or entries carry no subject
}

// Policy is what the box does about policies besides following central's.
type Policy struct {
	ShadowFile string // a policy to evaluate and record, not to act on; empty: none
}

// Set is a data set and the file of its key; without one central hands it out.
type Set struct{ Name, KeyFile string }

// Page is where the status page listens; loopback only in this version.
type Page struct{ Listen string }

// Local is the Unix socket for commands on the box.
type Local struct{ Socket string }

// LogFormat is how log lines look.
type LogFormat string

// The choices of log.format.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Log says how much is logged, and how.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// Lane is one gate: a scanner and a relay.
type Lane struct {
	Name      string
	Direction gate.Direction
	OnFault   gate.OnFault
	Repeat    time.Duration // the same code again within this is the same scan
	Scanner   Scanner
	Relay     Relay
}

// The drivers a lane can name.
const (
	V4L2Cam    = "v4l2cam"
	ReplayCam  = "replaycam"
	SerialScan = "serialscan"
	GPIORelay  = "gpiorelay"
	DryRelay   = "dryrelay"
)

// Framing says how a serial scanner marks the end of a code.
type Framing string

// The choices of scanner.framing.
const (
	FrameAuto    Framing = "auto" // CR, LF or a pause, whichever comes first
	FrameCR      Framing = "cr"
	FrameLF      Framing = "lf"
	FrameCRLF    Framing = "crlf"
	FrameSTXETX  Framing = "stx-etx"
	FrameSilence Framing = "silence"
)

// Scanner is what reads codes. Only the fields of its Driver are set.
type Scanner struct {
	Driver string
	Device string // v4l2cam, serialscan
	// v4l2cam: the size asked for, in pixels, and pictures a second.
	Width, Height int
	FPS           int    // v4l2cam, replaycam
	Source        string // replaycam: a folder, a file, or "-" for standard input
	Loop          bool   // replaycam
	// serialscan.
	Baud      int
	Framing   Framing
	Silence   time.Duration // gap that ends a code; set only with FrameAuto and FrameSilence
	MaxLength int           // bytes of one code
}

// Relay is what opens. Only the fields of its Driver are set.
type Relay struct {
	Driver    string
	Chip      string // gpiorelay: device file of the GPIO chip
	Line      int    // gpiorelay
	ActiveLow bool   // gpiorelay
	Pulse     time.Duration
}

// The defaults that are needed before a file can be read at all.
const (
	DefaultStorageDir = "/var/lib/gateagent"
	DefaultListen     = "127.0.0.1:8080"
	DefaultSocket     = "/run/gateagent/agent.sock"
)
