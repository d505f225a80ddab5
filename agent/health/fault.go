package health

import "strings"

// Text is one sentence or two in Vietnamese and in English.
type Text struct{ VI, EN string }

// Fault is a coded trouble with its cause and the next step to take.
type Fault struct {
	// Code is stable and is what the handbook lists; see [Codes].
	Code Code
	// Cause says what is the matter, NextStep what to do about it.
	Cause, NextStep Text
	// Detail is what the machine knows besides, untranslated: a path, an
	// address, an error. It never holds a payload, a name or a number.
	Detail string
}

// Code names a fault.
type Code string

// The fault codes.
const (
	Starting Code = "starting"

	ConfigBroken   Code = "config_broken"
	ConfigLastGood Code = "config_last_good"
	ConfigWarning  Code = "config_warning"

	ScannerGone   Code = "scanner_gone"
	ScannerFormat Code = "scanner_format"
	ScannerSilent Code = "scanner_silent"
	RelayError    Code = "relay_error"
	LaneStopped   Code = "lane_stopped"

	JournalFailed   Code = "journal_failed"
	JournalSlow     Code = "journal_slow"
	JournalFull     Code = "journal_full"
	JournalNewEpoch Code = "journal_new_epoch"

	DataMissing    Code = "data_missing"
	DataKeyMissing Code = "data_key_missing"
	DataStale      Code = "data_stale"
	DataExpired    Code = "data_expired"
	DataDamaged    Code = "data_damaged"
	DataRefused    Code = "data_refused"
	DataAwaited    Code = "data_awaited" // a newer version does not come

	DataKeyAwaited Code = "data_key_awaited"

	EntryKeyMissing Code = "entry_key_missing"
	EntryKeyAwaited Code = "entry_key_awaited"
	KeyOnDisk       Code = "key_on_disk"
	KeySwappable    Code = "key_swappable"
	IdentityFailed  Code = "identity_failed"
	TwinSeen        Code = "twin_seen"

	PolicyBuiltIn Code = "policy_built_in"
	PolicyRefused Code = "policy_refused"
	TrustMissing  Code = "trust_missing"
	TrustRefused  Code = "trust_refused"
	// RevokedRefused: of the list of revoked passes and passports.
	RevokedRefused Code = "revoked_refused"

	PassesUnspendable Code = "passes_unspendable"
	PassesForgotten   Code = "passes_forgotten"
	PassportKeyOdd    Code = "passport_key_odd"
	PassagesUnknown   Code = "passages_unknown"
	ShadowUnreadable  Code = "shadow_unreadable"

	ClockNone  Code = "clock_none"
	ClockFloor Code = "clock_floor"

	BrokerUnreachable Code = "broker_unreachable"
	BrokerRefused     Code = "broker_refused"
	BrokerMute        Code = "broker_mute"
	CentralAway       Code = "central_away"
	AckMismatch       Code = "ack_mismatch"

	PageFailed   Code = "page_failed"
	SocketFailed Code = "socket_failed"
	Stopped      Code = "stopped"
)

// NewFault gives the fault of a code with its texts from the catalogue.
// A code that is not in the catalogue gets a text that says to call central.
func NewFault(code Code, detail string) Fault {
	for _, e := range catalogue {
		if e.code == code {
			return Fault{Code: code, Cause: e.cause, NextStep: e.next, Detail: detail}
		}
	}
	return Fault{
		Code: code, Detail: detail,
		Cause:    Text{VI: "Lỗi chưa có mô tả.", EN: "A fault without a description."},
		NextStep: Text{VI: "Báo mã này cho trung tâm.", EN: "Report this code to central."},
	}
}

// Codes lists every code of the catalogue in the order of the handbook.
func Codes() []Code {
	out := make([]Code, len(catalogue))
	for i, e := range catalogue {
		out[i] = e.code
	}
	return out
}

// Title puts the name of a component into words: "scanner:main" is
// "Máy quét main" and "Scanner main". An unknown kind stands for itself.
func Title(name string) Text {
	kind, instance, _ := strings.Cut(name, ":")
	t, ok := titles[kind]
	if !ok {
		t = Text{VI: kind, EN: kind}
	}
	if instance != "" {
		t.VI += " " + instance
		t.EN += " " + instance
	}
	return t
}

var titles = map[string]Text{
	"config":   {VI: "Cấu hình", EN: "Configuration"},
	"lane":     {VI: "Làn", EN: "Lane"},
	"scanner":  {VI: "Máy quét", EN: "Scanner"},
	"relay":    {VI: "Rơ-le", EN: "Relay"},
	"journal":  {VI: "Nhật ký", EN: "Journal"},
	"data":     {VI: "Dữ liệu", EN: "Data"},
	"policy":   {VI: "Quy tắc", EN: "Policy"},
	"shadow":   {VI: "Quy tắc chạy thử", EN: "Policy on trial"},
	"passes":   {VI: "Thẻ và hộ chiếu", EN: "Passes and passports"},
	"passages": {VI: "Các lượt qua trước", EN: "Earlier passages"},
	"trust":    {VI: "Khóa tin cậy", EN: "Trusted keys"},
	"revoked":  {VI: "Danh sách thu hồi", EN: "Revocation list"},
	"identity": {VI: "Danh tính thiết bị", EN: "Box identity"},
	"keys":     {VI: "Khóa lượt qua", EN: "Entry key"},
	"hold":     {VI: "Nơi giữ khóa", EN: "Safe keeping of keys"},
	"clock":    {VI: "Đồng hồ", EN: "Clock"},
	"broker":   {VI: "Máy chủ MQTT", EN: "Broker"},
	"central":  {VI: "Trung tâm", EN: "Central"},
	"page":     {VI: "Trang trạng thái", EN: "Status page"},
	"local":    {VI: "Lệnh tại chỗ", EN: "Local commands"},
}
