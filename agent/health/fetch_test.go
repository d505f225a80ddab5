package health

import (
	"testing"
	"time"
)

func TestFetchText(t *testing.T) {
	at := time.Date(2021, 8, 24, 14, 32, 50, 0, time.UTC)
	for _, c := range []struct {
		f    Fetch
		want string
	}{
		{Fetch{Version: 7}, "fetching v7"},
		{Fetch{Version: 7, Bytes: 1_500_000, Of: 6_000_000}, "fetching v7: 25 %, 1.5 / 6.0 MB"},
		{Fetch{Version: 7, Bytes: 1_500_000, Of: 6_000_000, Rate: 50_000, Left: 90 * time.Second}, "fetching v7: 25 %, 1.5 / 6.0 MB, 1m30s left"},
		{Fetch{Version: 7, At: at, Left: time.Hour}, "new base v7 is taken at 14:32"},
		{Fetch{Version: 7, At: at, Left: 30 * time.Hour}, "new base v7 is taken at 14:32 24/08"},
	} {
		if got := c.f.Text().EN; got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
