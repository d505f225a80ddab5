package credential

// Split gives what a splitter finds and a claim does not keep, by the names of
// the shared samples; nil for what is not taken apart.
func Split(payload []byte) map[string]any {
	text, _ := clean(payload)
	if text == "" {
		return nil
	}
	var f fields
	f.split(text)
	sexes := [...]string{unknownSex: "", male: "M", female: "F"}
	if c, ok := splitCard(&f); ok {
		return map[string]any{"id": c.number, "old": c.old, "name": c.name, "dob": c.born.String(), "sex": sexes[c.sex], "issued": c.issued.String()}
	}
	if n, ok := splitNational(&f); ok {
		return map[string]any{
			"id": n.number, "name": n.name, "dob": n.born.String(), "masked": n.masked, "qid": n.qid, "proxy": n.proxy,
			"sex": sexes[n.ext.sex], "tokens": n.ext.names(),
		}
	}
	if i, ok := splitInsurance(&f); ok {
		return map[string]any{"id": i.number, "name": i.name, "dob": i.born.String(), "sex": sexes[i.sex]}
	}
	return nil
}

func (e extension) names() (out []any) {
	for kind, name := range map[token]string{tokenSex: "sex", tokenInsurance: "insurance", tokenPhone: "phone", tokenQID: "qid", tokenOther: "other"} {
		for range e.found[kind] {
			out = append(out, name)
		}
	}
	return out
}
