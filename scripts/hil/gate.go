package main

import "context"

// cards are what people hold before the camera, by name; empty: nothing.
func cards() map[string]string {
	return map[string]string{
		"wall":    "",
		"allowed": "001199000001|100200300|Trần Thị Thử|01011990|Nữ|Số 1 Phố Mẫu, Hà Nội|20082021",
		"refused": "001099000002|100200301|Nguyễn Văn Mẫu|02021990|Nam|Số 2 Phố Mẫu, Hà Nội|20082021",
	}
}

func (b *bench) gate(ctx context.Context) {}
