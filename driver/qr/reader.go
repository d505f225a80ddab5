package qr

import (
	"fmt"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"

	"gateagent/driver/frame"
)

// reader reads with gozxing's thresholds, detector and decoder, and a search
// of its own for what to give them.
type reader struct {
	decoder       *decoder.Decoder
	hints         map[gozxing.DecodeHintType]interface{}
	positive      plane
	negative      plane
	row           *gozxing.BitArray
	found         []triple
	codes         []Code
	marks         landmarks
	doubt         symbol // the likeliest symbol that could not be read
	doubtInverted bool
}

// NewReader makes a Reader on gozxing.
func NewReader() Reader {
	return &reader{decoder: decoder.NewDecoder(), hints: textHints()}
}

func (r *reader) Read(g *frame.Gray) (codes []Code, err error) {
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("read QR: %w", err)
	}
	// The library indexes by what it finds in the picture. Nothing is known to
	// make it panic; if something does, one frame is lost, not the gate.
	defer func() {
		if p := recover(); p != nil {
			codes, err = nil, fmt.Errorf("read QR: decoder failed: %v", p)
		}
	}()
	r.codes, r.doubt = r.codes[:0], symbol{}
	r.positive.set(g)
	if !r.pass(gozxing.NewHybridBinarizer(&r.positive), false) &&
		!r.pass(gozxing.NewGlobalHistgramBinarizer(&r.positive), false) {
		r.negative.setNegative(&r.positive)
		r.pass(gozxing.NewHybridBinarizer(&r.negative), true)
	}
	if len(r.codes) == 0 && r.doubt.likeness >= inView {
		code := r.doubt.code()
		code.Inverted = r.doubtInverted
		r.codes = append(r.codes, code)
	}
	return r.codes, nil
}

// pass reads one threshold picture and says whether it held a readable code.
func (r *reader) pass(threshold gozxing.Binarizer, inverted bool) bool {
	bits, err := threshold.GetBlackMatrix()
	if err != nil {
		return false // no contrast at all
	}
	triples := r.triples(r.scan(bits))
	before := len(r.codes)
	var done []*centre
	for tries, i := 0, 0; i < len(triples) && tries < maxTries; i++ {
		t := &triples[i]
		if touches(t, done) {
			continue
		}
		tries++
		result, s, ok := r.read(bits, t)
		if !ok {
			if s.likeness > r.doubt.likeness {
				r.doubt, r.doubtInverted = s, inverted
			}
			continue
		}
		code := s.code()
		if code.Text = textOf(result); len(code.Text) == 0 {
			continue // an empty code says nothing
		}
		code.Inverted = inverted
		if meta, ok := result.GetOther().(*decoder.QRCodeDecoderMetaData); ok && meta.IsMirrored() {
			code.Mirrored = true
			code.Corners[1], code.Corners[3] = code.Corners[3], code.Corners[1]
		}
		r.codes = append(r.codes, code)
		done = append(done, t.bottomLeft, t.topLeft, t.topRight)
	}
	return len(r.codes) > before
}

func touches(t *triple, done []*centre) bool {
	for _, c := range done {
		if t.uses(c) {
			return true
		}
	}
	return false
}
