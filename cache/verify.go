package cache

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	"gateagent/cache/block"
)

// verify reads all blocks and extras and compares counts and digest with the
// meta bucket.
func (g *generation) verify() error {
	err := guard(func() error {
		c := newCounting(g.info)
		for i := range g.parts {
			p := &g.parts[i]
			end := g.info.Blocks
			if i+1 < len(g.parts) {
				end = g.parts[i+1].first
			}
			if err := c.file(p, end); err != nil {
				return err
			}
		}
		return c.done()
	})
	if err != nil {
		return fmt.Errorf("%s: %w", g.path, err)
	}
	return nil
}

// counting reads the blocks of a version in ascending order.
type counting struct {
	want           setInfo
	digest         *block.Digest
	people, extras uint64
	ahead          readAhead // of the file it is at
}

// readAhead fetches a file in long pieces before whoever walks through its
// blocks: bbolt maps files so that each page is fetched by itself, which on a
// slow card takes minutes for a nation. It goes by where a block should lie,
// because blocks come into a file in their order.
type readAhead struct {
	part    *part
	blocks  uint64
	fetched int64 // bytes from the start of the file
}

const aheadPiece = 4 << 20

func newReadAhead(p *part, end uint64) readAhead {
	return readAhead{part: p, blocks: max(end-p.first, 1)}
}

// at fetches what follows block no, unless it is there.
func (r *readAhead) at(no uint64) {
	here := int64(float64(r.part.size) * float64(no-r.part.first) / float64(r.blocks))
	if here+aheadPiece/2 >= r.fetched && r.fetched < r.part.size {
		fetch(r.part.file, r.fetched, aheadPiece)
		r.fetched += aheadPiece
	}
}

// file takes one file, whose blocks end before end. In one into which deltas
// were folded it compares the digest of the content.
func (c *counting) file(p *part, end uint64) error {
	c.ahead = newReadAhead(p, end)
	if !c.want.folded() {
		return c.part(p.blocks, p.extras, p.first, end)
	}
	c.digest = block.NewDigest()
	if err := c.part(p.blocks, p.extras, p.first, end); err != nil {
		return err
	}
	kept := c.digest
	c.digest = block.NewDigest()
	if p.added != nil {
		if err := c.part(p.added, p.addedExtras, p.first, end); err != nil {
			return err
		}
	}
	if contentDigest(kept, c.digest) != p.content {
		return fmt.Errorf("%w: %s does not hold what was written into it", ErrDamaged, filepath.Base(p.path))
	}
	return nil
}

// contentDigest is the digest of a file into which deltas were folded: SHA-256
// over that of the records of the base and that of those who were added.
func contentDigest(kept, added *block.Digest) [sha256.Size]byte {
	k, a := kept.Sum(), added.Sum()
	return sha256.Sum256(append(k[:], a[:]...))
}

func newCounting(want setInfo) *counting { return &counting{want: want, digest: block.NewDigest()} }

// part takes the blocks of one file, whose numbers are first to end, end
// excluded. extras is nil where there are none.
func (c *counting) part(blocks, extras *bbolt.Bucket, first, end uint64) error {
	var at *bbolt.Cursor
	var extraKey, extraValue []byte
	if extras != nil {
		at = extras.Cursor()
		extraKey, extraValue = at.First()
	}
	err := blocks.ForEach(func(k, v []byte) error {
		var mine []byte
		if extraKey != nil && bytes.Equal(k, extraKey) {
			mine = extraValue
			extraKey, extraValue = at.Next()
		}
		no, err := block.ParseKey(k, c.want.Blocks)
		switch {
		case err != nil:
		case no < first || no >= end:
			err = fmt.Errorf("block %d does not belong into this part", no)
		default:
			c.ahead.at(no)
			err = c.block(no, v, mine)
		}
		if err != nil {
			return fmt.Errorf("%w: block %x: %w", ErrDamaged, k, err)
		}
		return nil
	})
	if err == nil && extraKey != nil {
		err = fmt.Errorf("%w: extras %x of no block, or in no order", ErrDamaged, extraKey)
	}
	return err
}

func (c *counting) block(no uint64, value, extras []byte) error {
	entries, err := block.CheckPair(value, c.want.Width, extras, c.want.folded())
	if err != nil {
		return err
	}
	c.digest.Add(no, value)
	c.digest.AddExtras(no, extras)
	c.people += present(value, &c.want)
	c.extras += uint64(entries)
	return nil
}

// present counts the people of a block who are not gone.
func present(value []byte, info *setInfo) uint64 {
	n := len(value) / info.Width
	people := n
	for i := 0; info.folded() && i < n; i++ {
		if _, w, _ := block.At(value, info.Width, i); w == block.Tombstone {
			people--
		}
	}
	return uint64(people)
}

// done compares what came with what was promised.
func (c *counting) done() error {
	switch {
	case c.people != c.want.People:
		return fmt.Errorf("%w: %d people instead of %d", ErrDamaged, c.people, c.want.People)
	case c.extras != c.want.Extras:
		return fmt.Errorf("%w: %d people with extras instead of %d", ErrDamaged, c.extras, c.want.Extras)
	case !c.want.folded() && c.digest.Sum() != c.want.Digest:
		return fmt.Errorf("%w: its digest is not the one promised", ErrDamaged)
	}
	return nil
}
