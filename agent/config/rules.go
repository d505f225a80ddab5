package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

var (
	namePattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	levelPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	kidPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	chipPattern  = regexp.MustCompile(`^(/dev/)?gpiochip[0-9]+$|^/dev/[A-Za-z0-9/_.-]+$`)
)

// name judges a word that becomes a level of a topic.
func name(reserved ...string) check[string] {
	return func(s string) (what, hint string) {
		switch {
		case s == "":
			return "is empty", `write a short name, for example "hn01"`
		case slices.Contains(reserved, s):
			return fmt.Sprintf("%q is a reserved word in the topics", s), `choose another name, for example "` + s + `1"`
		case namePattern.MatchString(s):
			return "", ""
		}
		hint = "use small letters a-z, digits and hyphens, beginning with a letter or digit, at most 32"
		if better := simpler(s); better != "" && !slices.Contains(reserved, better) {
			hint += fmt.Sprintf("; for example %q", better)
		}
		return fmt.Sprintf("%q cannot be part of a topic", clip(s)), hint
	}
}

// simpler makes a valid name out of s, or "".
func simpler(s string) string {
	var b strings.Builder
	for _, c := range norm.NFD.String(strings.ToLower(s)) {
		switch {
		case unicode.Is(unicode.Mn, c): // the marks of Vietnamese letters
		case c == 'đ':
			b.WriteByte('d')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	out := b.String()
	out = strings.Trim(out[:min(len(out), 32)], "-")
	if !namePattern.MatchString(out) {
		return ""
	}
	return out
}

// topicPrefix judges mqtt.prefix.
func topicPrefix(s string) (what, hint string) {
	hint = `write one to four words with slashes between them, for example "gate/v1"`
	switch {
	case s == "":
		return "is empty", hint
	case strings.ContainsAny(s, "+#"):
		return fmt.Sprintf("%q has a wildcard (+ or #), which no topic can have", clip(s)), hint
	case strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/"):
		return fmt.Sprintf("%q has a slash at an end", clip(s)), hint
	case strings.HasPrefix(s, "$"):
		return fmt.Sprintf("%q begins with $, which brokers keep for themselves", clip(s)), hint
	}
	levels := strings.Split(s, "/")
	if len(levels) > 4 || len(s) > 64 {
		return "is too long", hint
	}
	for _, l := range levels {
		if !levelPattern.MatchString(l) {
			return fmt.Sprintf("%q cannot be part of a topic", clip(l)), "use small letters a-z, digits, hyphens and slashes; " + hint
		}
	}
	return "", ""
}

// brokerAddress judges mqtt.broker.
func brokerAddress(s string) (what, hint string) {
	hint = `write mqtt://host:1883`
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case s == "":
		return "is empty", hint
	case !ok:
		return fmt.Sprintf("%q has no mqtt:// in front", clip(s)), fmt.Sprintf("write %q", "mqtt://"+s)
	case slices.Contains([]string{"mqtts", "ssl", "tls", "wss"}, scheme):
		return fmt.Sprintf("%s:// is encrypted, which this version cannot do yet", scheme),
			"use mqtt:// to a broker on this machine that bridges to central over TLS"
	case scheme != "mqtt":
		return fmt.Sprintf("%s:// is not a way to a broker", clip(scheme)), hint
	case strings.Contains(rest, "@"):
		return "has a user name or a password in it", "write them as mqtt.username and mqtt.password_file"
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Sprintf("%q is not an address of a broker", clip(s)), hint
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return fmt.Sprintf("the port %s does not exist", p), "ports are 1 to 65535; MQTT's is 1883"
		}
	}
	return "", ""
}

// withPort gives a broker address that passed [brokerAddress] its port.
func withPort(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	port := u.Port()
	if port == "" {
		port = "1883"
	}
	return "mqtt://" + net.JoinHostPort(u.Hostname(), port)
}

// onLoopback says whether a host is this machine by its name alone.
func onLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// listenAddress judges page.listen.
func listenAddress(s string) (what, hint string) {
	hint = `write page.listen = "127.0.0.1:8080"`
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Sprintf("%q is not an address with a port", clip(s)), hint
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("the port %q does not exist", clip(port)), hint
	}
	if !onLoopback(host) {
		if host == "" {
			host = "every address"
		}
		return fmt.Sprintf("%s would show the page to the network, and this version has no password for it yet", host),
			hint + ", and look at it from your computer with: ssh -L 8080:127.0.0.1:8080 USER@BOX"
	}
	return "", ""
}

// sampleRootKey stands in the annotated sample; its private half was never
// kept by anybody.
const sampleRootKey = "sample:DEd3QQnU9zltHt7iUPIqiG3p418ahG_JkQwPJX-n-6I"

// rootKey judges one of trust.root_keys.
func rootKey(s string) (what, hint string) {
	hint = `write what "gatectl keygen" printed: "name:" and 43 letters, digits, - and _`
	kid, key, ok := strings.Cut(s, ":")
	switch {
	case strings.Contains(s, "PRIVATE") || strings.HasPrefix(s, "{"):
		return "is not a public key", hint + "; a private key must never be on a box"
	case !ok:
		return "has no colon between the name of the key and the key", hint
	case !kidPattern.MatchString(kid):
		return fmt.Sprintf("the name %q has letters that cannot be in it", clip(kid)), hint
	case strings.ContainsAny(key, "+/="):
		return "is written in plain base64", "write - for +, _ for /, and leave the = at the end out"
	}
	if b, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(b) != 32 {
		return fmt.Sprintf("the part behind the colon is not a key: it has %d letters, not 43", len(key)), hint
	}
	return "", ""
}

// absolute judges a path that must not depend on where the file stands.
func absolute(s string) (what, hint string) {
	switch {
	case s == "":
		return "is empty", "write the whole path, beginning with a slash"
	case !strings.HasPrefix(s, "/"):
		return fmt.Sprintf("%q does not begin with a slash", clip(s)), "write the whole path"
	}
	return "", ""
}

// socketPath judges local.socket; the kernel keeps 108 bytes for the name.
func socketPath(s string) (what, hint string) {
	if what, hint = absolute(s); what != "" {
		return what, hint
	}
	if len(s) > 90 {
		return fmt.Sprintf("is %d bytes long; sockets have at most 90", len(s)), `use a shorter path, for example "` + DefaultSocket + `"`
	}
	return "", ""
}

// device judges the device file of a camera or of a serial line.
func device(example string) check[string] {
	return func(s string) (what, hint string) {
		switch {
		case s == "":
			return "is empty", "write " + example
		case strings.HasPrefix(s, "/"):
			return "", ""
		}
		return fmt.Sprintf("%q is not the path of a device", clip(s)), fmt.Sprintf("write the whole path, for example %q", "/dev/"+strings.TrimPrefix(s, "dev/"))
	}
}

// gpioChip judges relay.chip.
func gpioChip(s string) (what, hint string) {
	if chipPattern.MatchString(s) {
		return "", ""
	}
	return fmt.Sprintf("%q is not a GPIO chip", clip(s)), `write "/dev/gpiochip0"; "gpiodetect" lists the chips of this box`
}

// bauds are the speeds that serial engines and the kernel share.
var bauds = []int{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}
