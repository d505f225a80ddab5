package main

import (
	"sync/atomic"
	"time"

	"gateagent/cache/cachetest"
)

// written gives the bytes that this process passed to write calls.
func written() int64 { return must(cachetest.Written()) }

// anonymous gives the memory of this process that is its own, in bytes.
func anonymous() int64 { return must(cachetest.Anonymous()) }

func must(n int64, err error) int64 {
	if err != nil {
		panic(err) // Linux has it
	}
	return n
}

// peak watches the anonymous memory until it is told to stop.
type peak struct {
	most atomic.Int64
	stop chan struct{}
	done chan struct{}
}

func watchMemory() *peak {
	p := &peak{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			p.most.Store(max(p.most.Load(), anonymous()))
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return p
}

func (p *peak) end() int64 {
	close(p.stop)
	<-p.done
	return p.most.Load()
}
