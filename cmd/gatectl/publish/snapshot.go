package publish

import (
	"context"
	"fmt"

	"gateagent/cmd/gatectl/dataset"
	"gateagent/sync/wire"
)

// ErrTooManyChunks is given for a set that is too large to be kept retained.
type ErrTooManyChunks struct{ Chunks int }

func (e ErrTooManyChunks) Error() string {
	return fmt.Sprintf("the set has %d chunks; at most %d are published retained", e.Chunks, wire.MaxRetained)
}

// Snapshot publishes the version that waits in a folder: chunks, then the
// manifest, then it clears what the last two versions no longer name. compact
// is the signed manifest and m its payload. tick, when set, is told how many
// of the messages are out.
func (s *Session) Snapshot(ctx context.Context, f dataset.Folder, compact []byte, m wire.Manifest, tick func(done, of int)) error {
	if len(m.Chunks) > wire.MaxRetained {
		return ErrTooManyChunks{len(m.Chunks)}
	}
	if tick == nil {
		tick = func(int, int) {}
	}
	of := len(m.Chunks) + 1
	for i, c := range m.Chunks {
		tick(i, of)
		body, err := f.Chunk(c.Digest)
		if err != nil {
			return err
		}
		if err := s.Retained(ctx, s.Topics.Chunk(m.Aud, c.Digest), body); err != nil {
			return err
		}
	}
	tick(len(m.Chunks), of)
	if err := s.Retained(ctx, s.Topics.Manifest(m.Aud), compact); err != nil {
		return err
	}
	tick(of, of)
	stale, err := f.Note(m)
	if err != nil {
		return err
	}
	for _, digest := range stale {
		// An empty retained message clears the topic (MQTT 3.1.1, 3.3.1.3).
		if err := s.Link.Publish(ctx, s.Topics.Chunk(m.Aud, digest), nil, 1, true); err != nil {
			return fmt.Errorf("clear an old chunk: %w", err)
		}
	}
	return f.Cleared(m)
}
