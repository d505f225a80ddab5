// Package soaktest holds tests that join the parts of sync with the real
// journal and the real stores over a real broker, while broker and central are
// killed, restarted and restored. It has no code of its own outside its tests
// and does not ship.
package soaktest
