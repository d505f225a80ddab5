// Package configs embeds the files that are installed beside the programs: the
// annotated sample configuration, the systemd unit, the udev rules, and a
// Mosquitto configuration with its access list. Its README is the technician's
// handbook. It owns no behaviour: agent/config reads the sample, and a test
// there holds it to the defaults.
package configs

import _ "embed"

// Sample is the annotated configuration: every key with its default.
//
//go:embed gateagent.toml
var Sample []byte

// MosquittoConf is a broker's configuration.
//
//go:embed mosquitto.conf
var MosquittoConf []byte

// MosquittoACL is its access list: each box reaches its own topics.
//
//go:embed mosquitto.acl
var MosquittoACL []byte

// Unit is the systemd unit of the agent.
//
//go:embed gateagent.service
var Unit []byte

// UdevRules give the agent's group the cameras, serial engines and GPIO chips.
//
//go:embed 60-gateagent.rules
var UdevRules []byte
