package pace

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(1000)
		start := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					if err := p.Wait(t.Context(), 500); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 19*500*time.Millisecond { // the first does not wait
			t.Errorf("20 times 500 bytes took %v", took)
		}
		// What was not used is not saved up.
		time.Sleep(time.Hour)
		start = time.Now()
		for range 3 {
			if err := p.Wait(t.Context(), 1000); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("3 times 1000 bytes took %v", took)
		}
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("a newer version came")
		for _, rate := range []int64{0, 1} {
			p := New(rate)
			ctx, cancel := context.WithCancelCause(t.Context())
			if err := p.Wait(ctx, 3600); err != nil {
				t.Error(err)
			}
			time.AfterFunc(time.Minute, func() { cancel(why) })
			if rate == 0 {
				time.Sleep(2 * time.Minute)
			}
			if err := p.Wait(ctx, 1); !errors.Is(err, why) {
				t.Errorf("rate %d: %v", rate, err)
			}
		}
	})
}

func TestUnbounded(t *testing.T) {
	p := New(0)
	for range 1000 {
		if err := p.Wait(t.Context(), 1<<30); err != nil {
			t.Fatal(err)
		}
	}
}
