// gozip compresses in goroutines, which ask Lua for the data, piece by piece.
//
//	local gozip = require("darksidesync").load("gozip")
//	gozip.gzip(function() return file:read(65536) end, function(err, packed) ... end)
package main

/*
#include "dss.h"

const char *ask(dss_library library, dss_callback read, uintptr_t reader);
void finish(dss_library library, dss_callback read, dss_callback done, int failed, const void *bytes, size_t size);
*/
import "C"

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// The goroutines of each Lua state: a sync.WaitGroup by the library's handle there.
var states sync.Map

// reader reads what a Lua function returns, until that is nil.
type reader struct {
	library C.dss_library
	read    C.dss_callback
	rest    []byte
	answers chan error
}

func (r *reader) Read(into []byte) (int, error) {
	if len(r.rest) == 0 {
		handle := cgo.NewHandle(r) // C may not keep Go's pointers
		defer handle.Delete()
		if refused := C.ask(r.library, r.read, C.uintptr_t(handle)); refused != nil {
			return 0, fmt.Errorf("no data: %s", C.GoString(refused))
		}
		if err := <-r.answers; err != nil { // it always comes: a state that closes gives one, too
			return 0, err
		}
	}
	n := copy(into, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

//export goAnswer
func goAnswer(handle C.uintptr_t, failed, piece *C.char, size C.size_t) {
	r := cgo.Handle(handle).Value().(*reader)
	err := io.EOF
	if failed != nil {
		err = fmt.Errorf("no data: %s", C.GoString(failed))
	} else if piece != nil {
		r.rest, err = append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(piece)), size)...), nil
	}
	r.answers <- err // there is room, so this does not wait
}

func pack(in io.Reader) (packed []byte, err error) {
	defer func() {
		if what := recover(); what != nil { // a bytes.Buffer panics where memory runs out
			err = fmt.Errorf("gozip: %v", what)
		}
	}()
	var out bytes.Buffer
	packer := gzip.NewWriter(&out)
	if _, err = io.Copy(packer, in); err == nil {
		err = packer.Close()
	}
	return out.Bytes(), err
}

//export goStart
func goStart(library C.dss_library, read, done C.dss_callback) {
	state, _ := states.LoadOrStore(library, &sync.WaitGroup{})
	running := state.(*sync.WaitGroup)
	running.Add(1)
	go func() {
		defer running.Done()
		result, err := pack(&reader{library: library, read: read, answers: make(chan error, 1)})
		failed := C.int(0)
		if err != nil {
			failed, result = 1, []byte(err.Error())
		}
		// Neither is empty: what is packed has a header.
		C.finish(library, read, done, failed, unsafe.Pointer(&result[0]), C.size_t(len(result)))
	}()
}

//export goClosing
func goClosing(_ unsafe.Pointer, library C.dss_library) {
	if state, found := states.LoadAndDelete(library); found {
		state.(*sync.WaitGroup).Wait()
	}
}

func main() {}
