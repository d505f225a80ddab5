package symbology

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

var update = flag.Bool("update", false, "write tables/ from golang.org/x/text")

// TestPairTables compares the tables with those of golang.org/x/text.
func TestPairTables(t *testing.T) {
	shiftJIS := pairs{nil, [2]byte{0x81, 0xFC}, [2][2]byte{{0x40, 0x7E}, {0x80, 0xFC}}}
	big5, gbk, ksx := pairSets[eciBig5], pairSets[eciGBK], pairSets[eciEUCKR]
	for name, tt := range map[string]struct {
		shape pairs
		from  encoding.Encoding
		table string
	}{
		"jis0208": {shiftJIS, japanese.ShiftJIS, jis0208Table},
		"gbk":     {gbk, simplifiedchinese.GBK, gbkTable},
		"big5":    {big5, traditionalchinese.Big5, big5Table},
		"ksx1001": {ksx, korean.EUCKR, ksx1001Table},
	} {
		var want []byte
		for lead := int(tt.shape.leads[0]); lead <= int(tt.shape.leads[1]); lead++ {
			if name == "jis0208" && lead >= 0xA0 && lead < 0xE0 {
				continue // half-width katakana are single bytes
			}
			for _, s := range tt.shape.trails {
				for trail := int(s[0]); trail <= int(s[1]); trail++ {
					text, err := tt.from.NewDecoder().Bytes([]byte{byte(lead), byte(trail)})
					r, size := utf8.DecodeRune(text)
					if err != nil || size != len(text) || r == utf8.RuneError || r > 0xFFFF {
						r = 0 // two characters, or one beyond the basic plane: none in use
					}
					want = append(want, byte(r>>8), byte(r))
				}
			}
		}
		if *update {
			if err := os.WriteFile(filepath.Join("tables", name+".bin"), want, 0o600); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(want, []byte(tt.table)) {
			t.Errorf("%s: the table is not that of golang.org/x/text; go test -run PairTables -update writes it", name)
		}
	}
}

// TestShiftJISAsTheLibrary decodes every byte and every pair.
func TestShiftJISAsTheLibrary(t *testing.T) {
	dec := japanese.ShiftJIS.NewDecoder()
	for v := range 0x10000 + 0x100 {
		raw := []byte{byte(v >> 8), byte(v)}
		if v >= 0x10000 {
			raw = raw[1:]
		}
		want, err := dec.Bytes(raw)
		known := err == nil && !bytes.ContainsRune(want, utf8.RuneError)
		got, ok := appendShiftJIS(nil, raw)
		if ok != known || ok && !bytes.Equal(got, want) {
			t.Fatalf("% X: %q, %v, want %q, %v", raw, got, ok, want, known)
		}
	}
}

func TestPairSets(t *testing.T) {
	for name, tt := range map[string]struct {
		charset   int
		raw, want string // "" for no text
	}{
		"gb2312":                      {eciGB2312, "\xc4\xe3\xba\xc3, Mr", "你好, Mr"},
		"big5":                        {eciBig5, "\xb4\xfa\xb8\xd5", "測試"},
		"euc-kr":                      {eciEUCKR, "\xc7\xd1\xb1\xdb", "한글"},
		"gb18030, a pair":             {eciGB18030, "\xb0\xa2", "阿"},
		"gb18030, four bytes":         {eciGB18030, "\x81\x30\x81\x30", ""},
		"half a pair":                 {eciGBK, "\xb0", ""},
		"a pair that is none":         {eciEUCKR, "\xc7\x20", ""},
		"a first byte that is none":   {eciBig5, "\x80\xa2", ""},
		"a second byte between":       {eciBig5, "\xb4\x7f", ""},
		"a pair without a character":  {eciBig5, "\xf9\xff", ""},
		"a pair outside of the table": {eciEUCKR, "\xfe\xfe", ""},
	} {
		t.Run(name, func(t *testing.T) {
			set := pairSets[tt.charset]
			if got, ok := set.append(nil, []byte(tt.raw)); ok != (tt.want != "") || ok && string(got) != tt.want {
				t.Errorf("%q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}
