package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
)

// together judges what single keys cannot show: each problem stands at the
// later key and names the line of the other.
func (r *reader) together(c Config) {
	r.lanesTogether(c.Lanes)
	r.waitBelowRepeat(c)
	r.credentials(c.MQTT)
	r.ports(c)
}

func (r *reader) lanesTogether(lanes []Lane) {
	type owner struct{ lane, key string }
	names, devices, lines := map[string]string{}, map[string]owner{}, map[string]owner{}
	for i, l := range lanes {
		path := fmt.Sprintf("lane[%d]", i+1)

		key := path + ".name"
		if !r.bad[key] {
			if other, taken := names[l.Name]; taken {
				r.report(r.at[key], key, fmt.Sprintf("two lanes are called %q; the other one is at line %d", l.Name, r.at[other].line),
					`give each lane a name of its own, for example name = "side"`)
			} else {
				names[l.Name] = key
			}
		}

		key = path + ".scanner.device"
		id := l.Scanner.Device
		if l.Scanner.Driver == ReplayCam {
			key = path + ".scanner.source"
			id = ""
			if l.Scanner.Source == "-" {
				id = "-"
			}
		}
		if id != "" && !r.bad[key] {
			id = realDevice(id)
			if other, taken := devices[id]; taken {
				r.report(r.at[key], key, fmt.Sprintf("the lane %q reads from this device too (%s, line %d)", other.lane, other.key, r.at[other.key].line),
					"give each lane a device of its own; ls /dev/v4l/by-id /dev/serial/by-id shows what is there")
			} else {
				devices[id] = owner{l.Name, key}
			}
		}

		key = path + ".relay.line"
		if l.Relay.Driver == GPIORelay && r.usable(key, path+".relay.chip") {
			id := fmt.Sprintf("%s/%d", realDevice(l.Relay.Chip), l.Relay.Line)
			if other, taken := lines[id]; taken {
				r.report(r.at[key], key, fmt.Sprintf("the lane %q opens with this line too (%s, line %d)", other.lane, other.key, r.at[other.key].line),
					"give each lane a relay line of its own")
			} else {
				lines[id] = owner{l.Name, key}
			}
		}
	}
}

// realDevice follows the links of a device path, without opening anything, so
// that two names of one device are seen as one.
func realDevice(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return filepath.Clean(path)
}

// waitBelowRepeat: within repeat the same card is the same scan, and its entry
// may still be waiting for the disk.
func (r *reader) waitBelowRepeat(c Config) {
	for i, l := range c.Lanes {
		key := fmt.Sprintf("lane[%d].repeat", i+1)
		if !r.usable(key, "record.wait") || c.Record.Wait < l.Repeat {
			continue
		}
		at := key
		if !r.set[key] {
			at = "record.wait"
		}
		r.report(r.at[at], at, fmt.Sprintf("record.wait (%s, %s) must be shorter than lane.repeat (%s, %s)",
			span(c.Record.Wait), r.where("record.wait"), span(l.Repeat), r.where(key)),
			"shorten record.wait or lengthen lane.repeat")
	}
}

func (r *reader) credentials(m MQTT) {
	const user, file = "mqtt.username", "mqtt.password_file"
	if !r.usable(user, file, "mqtt.broker") {
		return
	}
	switch {
	case m.PasswordFile != "" && m.Username == "":
		r.report(r.at[file], file, fmt.Sprintf("there is a password but no user name (mqtt.username, %s)", r.where(user)), `add username = "…" to [mqtt], or delete this line`)
	case m.PasswordFile != "":
		if u, err := url.Parse(m.Broker); err == nil && !onLoopback(u.Hostname()) {
			r.warn(r.at[file], file, fmt.Sprintf("the password goes over the network unencrypted (mqtt.broker, %s)", r.where("mqtt.broker")),
				"use a broker on this machine that bridges to central over TLS")
		}
	}
}

func (r *reader) ports(c Config) {
	const page, broker = "page.listen", "mqtt.broker"
	if !r.usable(page, broker) {
		return
	}
	host, port, ok := strings.Cut(strings.TrimPrefix(c.MQTT.Broker, "mqtt://"), ":")
	_, own, err := net.SplitHostPort(c.Page.Listen)
	if ok && err == nil && onLoopback(host) && port == own {
		r.report(r.at[page], page, fmt.Sprintf("the port %s is the broker's (mqtt.broker, %s)", own, r.where(broker)), `write page.listen = "127.0.0.1:8080"`)
	}
}
