package statuspage

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestInBrowser looks at each state in Chromium at the sizes of a phone, a
// tablet and a desk: nothing sticks out sideways, nothing is fetched from
// elsewhere, nothing offends the page's own security policy, and the answer is
// seen without scrolling.
func TestInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium on this machine")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true))
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(allocated)
	defer cancel()

	var mu sync.Mutex // guards urls and complaints
	var urls, complaints []string
	err := chromedp.Listen(ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			urls = append(urls, e.Request.URL)
		case *log.EventEntryAdded:
			complaints = append(complaints, e.Entry.Text)
		}
	})
	if err != nil {
		t.Skipf("Chromium does not start: %v", err)
	}
	ctx, done := context.WithTimeout(ctx, 90*time.Second)
	defer done()
	all := states()
	all["only configuration"] = Options{Broken: wrongReport()}
	for name, o := range all {
		srv := httptest.NewServer(New(o, discard()).Handler())
		for _, size := range []struct{ w, h int64 }{{390, 844}, {820, 1180}, {1440, 900}} {
			look, err := lookAt(ctx, srv.URL, size.w, size.h)
			if err != nil {
				t.Fatalf("%s at %dx%d: %v", name, size.w, size.h, err)
			}
			if look.Wide > float64(size.w) {
				t.Errorf("%s at %dx%d sticks out: %v wide", name, size.w, size.h, look.Wide)
			}
			if look.Bottom > float64(size.h) {
				t.Errorf("%s at %dx%d: the answer ends at %v", name, size.w, size.h, look.Bottom)
			}
			if look.Heading == "32px" || !strings.HasSuffix(look.Heading, "px") {
				t.Errorf("%s at %dx%d: the stylesheet is not in force (heading %s)", name, size.w, size.h, look.Heading)
			}
		}
		mu.Lock()
		if i := slices.IndexFunc(urls, func(u string) bool { return !strings.HasPrefix(u, srv.URL) }); i >= 0 {
			t.Errorf("%s fetches %s", name, urls[i])
		}
		if len(complaints) > 0 {
			t.Errorf("%s: the browser complains: %s", name, strings.Join(complaints, "; "))
		}
		urls, complaints = nil, nil
		mu.Unlock()
		srv.Close()
	}
}

// look is what the browser made of a page.
type look struct {
	Wide    float64 `json:"wide"`    // of the document, in CSS pixels
	Bottom  float64 `json:"bottom"`  // of the answer
	Heading string  `json:"heading"` // size of the largest text
}

func lookAt(ctx context.Context, url string, w, h int64) (look, error) {
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(w, h), chromedp.Navigate(url)); err != nil {
		return look{}, err
	}
	return chromedp.Run(ctx, chromedp.Evaluate[look](`({
		wide: document.documentElement.scrollWidth,
		bottom: document.querySelector(".answer").getBoundingClientRect().bottom,
		heading: getComputedStyle(document.querySelector("h1")).fontSize,
	})`))
}
