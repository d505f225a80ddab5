package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"gateagent/cmd/gatectl/dataset"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

// Keeps says whether the chunks of a version are kept on the broker. Those of
// a larger one are asked for, and cmd/gatectl/serve answers.
func (s *Session) Keeps(m wire.Manifest) bool { return len(m.Chunks) <= s.limit() }

func (s *Session) limit() int {
	if s.MaxRetained > 0 {
		return s.MaxRetained
	}
	return wire.MaxRetained
}

// Snapshot publishes the version that waits in a folder: its chunks, unless
// they are too many to be kept on the broker; its deltas in order; then the
// manifest. Then it clears what the last two versions no longer name. compact
// is the signed manifest and m its payload. tick, when set, is told how many
// of the messages are out.
func (s *Session) Snapshot(ctx context.Context, f dataset.Folder, compact []byte, m wire.Manifest, tick func(done, of int)) error {
	if tick == nil {
		tick = func(int, int) {}
	}
	chunks, err := s.kept(f, m)
	if err != nil {
		return err
	}
	of := len(chunks) + len(m.Deltas) + 1
	done, err := s.chunks(ctx, f, m.Aud, chunks, func(done int) { tick(done, of) })
	if err != nil {
		return err
	}
	there, err := deltasThere(f)
	if err != nil {
		return err
	}
	for _, ref := range m.Deltas {
		tick(done, of)
		body, err := f.Delta(ref.N)
		if err != nil {
			return err
		}
		if err := s.delta(ctx, s.Topics.Delta(m.Aud, ref.N), body, there[ref.N]); err != nil {
			return err
		}
		done++
	}
	tick(done, of)
	if err := s.Retained(ctx, s.Topics.Manifest(m.Aud), compact); err != nil {
		return err
	}
	tick(of, of)
	stale, err := f.Note(m)
	if err != nil {
		return err
	}
	for _, digest := range stale {
		if err := s.clear(ctx, s.Topics.Chunk(m.Aud, digest)); err != nil {
			return fmt.Errorf("clear an old chunk: %w", err)
		}
	}
	numbers, err := f.StaleDeltas()
	if err != nil {
		return err
	}
	for n := range there {
		if n > m.Ver && n <= m.BackFrom {
			numbers = append(numbers, n) // taken back: no gate may have it any more
		}
	}
	for _, n := range numbers {
		if err := s.clear(ctx, s.Topics.Delta(m.Aud, n)); err != nil {
			return fmt.Errorf("clear an old delta: %w", err)
		}
	}
	return f.Cleared(m)
}

// kept gives the chunks that are kept on the broker: all of them, or those of
// the base alone, or none, by how many they are.
func (s *Session) kept(f dataset.Folder, m wire.Manifest) ([]string, error) {
	if !s.Keeps(m) {
		return nil, nil
	}
	all, err := f.Digests(m)
	if err != nil {
		return nil, err
	}
	if len(all) > s.limit() {
		all = all[:len(m.Chunks)]
	}
	return slices.Compact(slices.Clone(all)), nil
}

// atOnce is how many chunks are published side by side: each waits for the
// broker three times.
const atOnce = 8

// chunks publishes chunks that are not noted as published. When one of the
// others proves to be gone, the broker has forgotten, and all of them are
// published again.
func (s *Session) chunks(ctx context.Context, f dataset.Folder, set string, digests []string, tick func(done int)) (done int, err error) {
	before, err := f.Published()
	if err != nil {
		return 0, err
	}
	var fresh, noted []string
	for _, d := range digests {
		if !s.Again && slices.ContainsFunc(before, func(p dataset.Publication) bool { return slices.Contains(p.Digests, d) }) {
			noted = append(noted, d)
		} else {
			fresh = append(fresh, d)
		}
	}
	if len(noted) > 0 {
		one := noted[rand.IntN(len(noted))]
		body, err := f.Chunk(one)
		if err != nil {
			return 0, err
		}
		got, err := s.Link.Retained(ctx, s.Topics.Chunk(set, one), readWait)
		switch {
		case err == nil && bytes.Equal(got, body):
			done = len(noted)
		case err == nil || errors.Is(err, mqttlink.ErrNothingRetained):
			fresh = digests
		default:
			return 0, fmt.Errorf("look for a chunk: %w", err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next, out := make(chan string), make(chan struct{})
	var wg sync.WaitGroup
	for range min(atOnce, len(fresh)) {
		wg.Go(func() {
			for digest := range next {
				body, err := f.Chunk(digest)
				if err == nil {
					err = s.Retained(ctx, s.Topics.Chunk(set, digest), body)
				}
				if err != nil {
					cancel(err)
					return
				}
				select {
				case out <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	defer wg.Wait()
	defer close(next)
	tick(done)
	for sent, end := 0, done+len(fresh); done < end; {
		to, digest := next, ""
		if sent < len(fresh) {
			digest = fresh[sent]
		} else {
			to = nil
		}
		select {
		case to <- digest:
			sent++
		case <-out:
			done++
			tick(done)
		case <-ctx.Done():
			return done, context.Cause(ctx)
		}
	}
	return done, nil
}

// deltasThere gives the deltas that were published before.
func deltasThere(f dataset.Folder) (map[uint64]bool, error) {
	before, err := f.Published()
	if err != nil {
		return nil, err
	}
	there := make(map[uint64]bool)
	for _, p := range before {
		for _, n := range p.Deltas {
			there[n] = true
		}
	}
	return there, nil
}

// delta publishes a delta. Every gate hears it, so one that is there already
// is not published again.
func (s *Session) delta(ctx context.Context, topic string, body []byte, there bool) error {
	if there {
		got, err := s.Link.Retained(ctx, topic, absentWait)
		switch {
		case err == nil && bytes.Equal(got, body):
			return nil
		case err != nil && !errors.Is(err, mqttlink.ErrNothingRetained):
			return fmt.Errorf("look for %s: %w", topic, err)
		}
	}
	return s.Retained(ctx, topic, body)
}

// clear takes a retained message off the broker: an empty one does it (MQTT
// 3.1.1, 3.3.1.3).
func (s *Session) clear(ctx context.Context, topic string) error {
	return s.Link.Publish(ctx, topic, nil, 1, true)
}
