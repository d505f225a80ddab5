package health

import "strings"

// Theft is what whoever takes the box has in hand besides its data: the keys
// that lie on its disk. Memory does not count: it is empty without power.
type Theft struct {
	// Sets are the data sets whose key lies on the disk, whether the box uses
	// it or not.
	Sets []string
	// EntryKey is true when the site's entry key does.
	EntryKey bool
	// Memory is true when the box holds a key, or is to hold one, in memory
	// alone.
	Memory bool
}

// OnDisk says whether any key lies on the disk.
func (t Theft) OnDisk() bool { return len(t.Sets) > 0 || t.EntryKey }

// Text says in one sentence what a thief of the box can learn.
func (t Theft) Text() Text {
	sets := strings.Join(t.Sets, ", ")
	switch {
	case len(t.Sets) > 0 && t.EntryKey:
		return Text{
			VI: "Ai lấy được thiết bị này tra được mọi số định danh mà họ thử trong dữ liệu " + sets +
				": có trong đó không, ghi nhận gì, và lượt qua nào là của người đó; mất máy phải báo ngay.",
			EN: "Whoever takes this box can find out for every personal number they try whether it is in the data " + sets +
				", what is recorded there, and which entries are that person's; report a loss at once.",
		}
	case len(t.Sets) > 0:
		return Text{
			VI: "Ai lấy được thiết bị này tra được mọi số định danh mà họ thử trong dữ liệu " + sets +
				": có trong đó không và ghi nhận gì, nhưng không biết lượt qua nào là của ai; mất máy phải báo ngay.",
			EN: "Whoever takes this box can find out for every personal number they try whether it is in the data " + sets +
				" and what is recorded there, but not whose the entries are; report a loss at once.",
		}
	case t.EntryKey:
		return Text{
			VI: "Ai lấy được thiết bị này biết lượt qua nào là của số định danh mà họ thử, nhưng không tra được ai trong dữ liệu; mất máy phải báo ngay.",
			EN: "Whoever takes this box can find out for every personal number they try which entries are that person's, but nobody can be found in the data; report a loss at once.",
		}
	case t.Memory:
		return Text{
			VI: "Ai lấy được thiết bị này khi đã mất điện thì không tìm ra được ai: khóa chỉ nằm trong bộ nhớ; vẫn phải báo mất ngay, để trung tâm không cấp khóa cho nó nữa.",
			EN: "Whoever takes this box, once it is without power, can find nobody in it: the keys are in memory only; report a loss all the same, so that central gives it no more keys.",
		}
	}
	return Text{
		VI: "Trên thiết bị này không có khóa nào: ai lấy được nó cũng không tìm ra được ai.",
		EN: "There is no key on this box: whoever takes it can find nobody in it.",
	}
}
