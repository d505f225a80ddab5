package cache_test

import (
	"log/slog"
	"testing"

	"gateagent/cache/cachetest"
)

func TestMain(m *testing.M) { cachetest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)
