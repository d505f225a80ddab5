package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

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
	done, of := 0, len(chunks)+len(m.Deltas)+1
	for _, digest := range chunks {
		tick(done, of)
		body, err := f.Chunk(digest)
		if err != nil {
			return err
		}
		if err := s.Retained(ctx, s.Topics.Chunk(m.Aud, digest), body); err != nil {
			return err
		}
		done++
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
