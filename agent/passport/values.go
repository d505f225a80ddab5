package passport

import (
	"fmt"
	"strings"

	"gateagent/agent/gate"
)

// The value sets of the EU digital COVID certificate as far as a gate needs
// them. Source: the published value sets of the eHealth Network
// (ehn-dcc-development/eu-dcc-valuesets, state of 2023-07-12); what issuers
// have written besides is from public test certificates.
//
// A certificate that a trusted key has signed is not refused because of a code
// that came into use after this table was made: a set that may grow also takes
// what has the form of its codes. To close a set, take its form away.

// valueSet is one set of codes.
type valueSet struct {
	field string // as the schema calls it
	codes string // between blanks, the first and the last one too
	// form takes codes that the list does not have; nil: the set is closed.
	form func(string) bool
	// optional sets take a certificate that has no such field, or an empty
	// one, as issuers have written: nothing is decided by these.
	optional bool
}

func (s *valueSet) check(v any) error {
	code := text(v)
	switch {
	case code == "" && s.optional:
		return nil
	case code == "":
	case !strings.Contains(code, " ") && strings.Contains(s.codes, " "+code+" "), s.form != nil && s.form(code):
		return nil
	}
	return fmt.Errorf("%s is no code of its set", s.field)
}

// The disease (SNOMED CT), test kinds (LOINC) and results (SNOMED CT). What has
// another disease or result is read and proves nothing.
const (
	covid          = "840539006"
	kindPCR        = "LP6464-4"
	kindAntigen    = "LP217198-3"
	resultNegative = "260415000"
	resultPositive = "260373001"
)

// testKinds tells what a policy asks for; others are [gate.TestOther].
var testKinds = map[string]gate.TestKind{kindPCR: gate.TestPCR, kindAntigen: gate.TestAntigen}

var (
	valueDisease = valueSet{field: "tg", codes: " " + covid + " ", form: isText}

	valueResult = valueSet{field: "tr", codes: " " + resultNegative + " " + resultPositive + " ", form: isText, optional: true}

	valueTestKind = valueSet{field: "tt", codes: " " + kindPCR + " " + kindAntigen + " ", form: isText}

	valueProphylaxis = valueSet{
		field: "vp", form: isVaccineCode, optional: true,
		codes: " 1119305005 1119349007 1157024006 1162643001 1187593009 28531000087107 29061000087103 30141000087107 J07BX03 ",
	}

	valueProduct = valueSet{
		field: "mp", form: isProduct, optional: true,
		codes: " EU/1/20/1507 EU/1/20/1525 EU/1/20/1528 EU/1/21/1529 EU/1/21/1580 EU/1/21/1618 EU/1/21/1624 EU/1/22/1709" +
			" AZD2816 Abdala BBIBP-CorV CVnCoV Convidecia CoronaVac Covaxin CoviVac Covid-19-adsorvida-inativada" +
			" Covid-19-recombinant Covifenz Covishield Covovax EpiVacCorona EpiVacCorona-N Hayat-Vax" +
			" Inactivated-SARS-CoV-2-Vero-Cell MVC-COV1901 NVSI-06-08 NVX-CoV2373 R-COVI SCTV01C Soberana-02" +
			" Soberana-Plus Sputnik-Light Sputnik-M Sputnik-V VLA2001 Vidprevtyn WIBP-CorV YS-SC2-010 ",
	}

	valueManufacturer = valueSet{
		field: "ma", form: isManufacturer, optional: true,
		codes: " ORG-100000788 ORG-100001417 ORG-100001699 ORG-100001981 ORG-100006270 ORG-100007893 ORG-100008549" +
			" ORG-100010771 ORG-100013793 ORG-100020693 ORG-100023050 ORG-100024420 ORG-100026614 ORG-100030215" +
			" ORG-100031184 ORG-100032020 ORG-100033914 ORG-100036422 ORG-100036914 Bharat-Biotech CIGB" +
			" Chumakov-Federal-Scientific-Center Finlay-Institute Fiocruz Gamaleya-Research-Institute" +
			" Instituto-Butantan NVSI Sinopharm-WIBP Sinovac-Biotech Vector-Institute Yisheng-Biopharma ",
	}

	// The register of antigen tests is not listed: it has hundreds of devices.
	// Laboratory tests name none.
	valueDevice = valueSet{field: "ma", form: isDevice, codes: " N/A ", optional: true}

	// ISO 3166-1 with XK, and the two codes that EU bodies use besides for
	// Greece and the United Kingdom.
	valueCountry = valueSet{
		field: "co", optional: true,
		codes: " AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ" +
			" CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH EL ER ES ET FI FJ FK FM" +
			" FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT" +
			" JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN" +
			" MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT" +
			" PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL" +
			" TM TN TO TR TT TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW ",
	}
)

// isText: anything short. A test of another kind than the listed ones is
// [gate.TestOther], whatever the issuer calls it.
func isText(s string) bool { return len(s) <= 80 }

// isVaccineCode: SNOMED CT, or ATC of vaccines.
func isVaccineCode(s string) bool {
	atc, ok := strings.CutPrefix(s, "J07")
	return isDecimal(s, 6, 18) || ok && len(atc) >= 2 && len(atc) <= 4 && isWord(atc)
}

// isProduct: a number of the EU register of medicines, or a name: of the set,
// or as it is on the box; or a SNOMED CT code.
func isProduct(s string) bool {
	if number, ok := strings.CutPrefix(s, "EU/1/"); ok {
		year, n, ok := strings.Cut(number, "/")
		return ok && isDecimal(year, 2, 2) && isDecimal(n, 3, 5)
	}
	return isDecimal(s, 6, 18) || isWord(strings.ReplaceAll(s, " ", "-"))
}

// isManufacturer: an organisation of the EMA's register, which are numbered
// from ORG-100000001, with a digit too many by one issuer; or a name, or a
// SNOMED CT code.
func isManufacturer(s string) bool {
	if number, ok := strings.CutPrefix(s, "ORG-"); ok {
		return isDecimal(number, 9, 10) && number[0] == '1'
	}
	return isDecimal(s, 6, 18) || isWord(strings.ReplaceAll(s, " ", "-"))
}

// isDevice: a number of the EU's register of antigen tests, which counts
// devices from 1 and was closed below 5,000; 9999 is none of them. Or a word
// for one that is not in the register.
func isDevice(s string) bool {
	n, ok := digits(s)
	return ok && n > 0 && n < 5000 || isWord(s)
}

func isDecimal(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// isWord: letters, digits and hyphens, of which the first is a letter.
func isWord(s string) bool {
	if len(s) > 80 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		switch letter := c >= 'a' && c <= 'z'; {
		case letter:
		case i > 0 && (s[i] == '-' || s[i] >= '0' && s[i] <= '9'):
		default:
			return false
		}
	}
	return s != ""
}
