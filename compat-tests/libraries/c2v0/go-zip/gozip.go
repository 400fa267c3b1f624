// gozip compresses in goroutines.
//
//	local gozip = require("darksidesync").load("gozip")
//	gozip.gzip(data, function(err, packed) ... end)
//	gozip.gunzip(packed, function(err, data) ... end)
//	gozip.zip({ "a.txt", "b.txt" }, function(name) return content end, function(err, archive) ... end)
//
// zip asks Lua for one content at a time. What is still under way when its state closes is given up.
package main

// #include "gozip.h"
import "C"

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// What a Lua state has. The library stores a handle of it, for C keeps no pointer of Go's.
type state struct {
	jobs   sync.WaitGroup
	closed context.Context
	close  context.CancelFunc
}

// Reads until the state closes.
type reader struct {
	*state
	from io.Reader
}

func (r reader) Read(into []byte) (int, error) {
	if err := r.closed.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(into)
}

func (s *state) pack(data []byte) ([]byte, error) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := io.Copy(writer, reader{s, bytes.NewReader(data)}); err != nil {
		return nil, err
	}
	err := writer.Close()
	return packed.Bytes(), err
}

func (s *state) unpack(packed []byte) ([]byte, error) {
	unpacker, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader{s, unpacker})
}

func (s *state) archive(names []string, content func(name string) content) ([]byte, error) {
	var made bytes.Buffer
	archive := zip.NewWriter(&made)
	for _, name := range names {
		found := content(name)
		if found.err != nil {
			return nil, found.err
		} else if found.none {
			continue
		}
		file, err := archive.Create(name)
		if err == nil {
			_, err = io.Copy(file, reader{s, bytes.NewReader(found.data)})
		}
		if err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return made.Bytes(), err
}

// What Lua answers to a request.
type content struct {
	data []byte
	none bool
	err  error
}

// Asks Lua, and waits. The answer always comes: the end of the state is one, too.
func ask(library C.dss_library, callback C.dss_callback, name string) content {
	answers := make(chan content, 1)
	asked := cgo.NewHandle(answers)
	defer asked.Delete()
	at, size := pointer([]byte(name))
	if code := C.ask(library, callback, at, size, C.uintptr_t(asked)); code != C.DSS_OK {
		return content{err: refusal(code)}
	}
	return <-answers
}

//export goAnswer
func goAnswer(asked unsafe.Pointer, found C.answer) {
	var got content
	switch {
	case found.ended != C.DSS_ANSWERED:
		got.err = fmt.Errorf("no content (%d): %s", found.ended, C.GoString(found.error))
	case found.count == 0 || found.values.kind == C.DSS_NIL:
		got.none = true
	case found.values.kind == C.DSS_STRING:
		got.data = copied(found.values)
	default:
		got.err = errors.New("a content must be a string, or nil")
	}
	cgo.Handle(uintptr(asked)).Value().(chan content) <- got // there is room: this does not wait
}

//export goCall
func goCall(call C.dss_call, _ unsafe.Pointer, first C.arguments, count C.size_t) (code C.int) {
	defer caught(func(err error) {
		at, size := pointer([]byte(err.Error()))
		code = C.fail(call, at, size)
	})
	given := unsafe.Slice(first, count)
	kinds := map[C.uintptr_t][]C.uint32_t{
		C.GZIP:   {C.DSS_STRING, C.DSS_CALLBACK},
		C.GUNZIP: {C.DSS_STRING, C.DSS_CALLBACK},
		C.ZIP:    {C.DSS_LIST, C.DSS_CALLBACK, C.DSS_CALLBACK},
	}[C.number(call)]
	for n, kind := range kinds {
		if n >= len(given) || given[n].kind != kind {
			return C.wanted(call, C.size_t(n), C.int(kind))
		}
	}
	s := cgo.Handle(C.state(call)).Value().(*state)
	library := C.library(call)
	switch C.number(call) {
	case C.GZIP:
		data := copied(&given[0])
		return s.start(library, given[1:2], func([]C.dss_callback) ([]byte, error) { return s.pack(data) })
	case C.GUNZIP:
		data := copied(&given[0])
		return s.start(library, given[1:2], func([]C.dss_callback) ([]byte, error) { return s.unpack(data) })
	case C.ZIP:
		var names []string
		for n, name := range unsafe.Slice(C.items_of(&given[0]), given[0].count) {
			if name.kind != C.DSS_STRING {
				panic(fmt.Sprintf("name %d is not a string", n+1))
			}
			names = append(names, string(copied(&name)))
		}
		return s.start(library, given[1:3], func(callbacks []C.dss_callback) ([]byte, error) {
			return s.archive(names, func(name string) content { return ask(library, callbacks[0], name) })
		})
	}
	panic("no such function")
}

// Runs work in a goroutine, and delivers what comes of it to the last of the callbacks.
func (s *state) start(library C.dss_library, values []C.dss_value, work func([]C.dss_callback) ([]byte, error)) C.int {
	var callbacks []C.dss_callback
	releaseAll := func() {
		for _, callback := range callbacks {
			C.release(callback)
		}
	}
	for n := range values {
		callback := C.callback_of(&values[n])
		if code := C.retain(callback); code != C.DSS_OK {
			releaseAll()
			return code
		}
		callbacks = append(callbacks, callback)
	}
	if code := C.hold(library); code != C.DSS_OK {
		releaseAll()
		return code
	}
	s.jobs.Add(1)
	go func() {
		defer s.jobs.Done()
		defer C.let_go(library)
		defer releaseAll()
		done := callbacks[len(callbacks)-1]
		data, err := func() (_ []byte, err error) {
			defer caught(func(panic error) { err = panic })
			return work(callbacks)
		}()
		if err == nil {
			at, size := pointer(data)
			if code := C.deliver(library, done, 0, at, size); code != C.DSS_OK {
				err = refusal(code)
			}
		}
		if err != nil {
			at, size := pointer([]byte(err.Error()))
			C.deliver(library, done, 1, at, size) // refused if the state is closing: nobody is left to tell
		}
	}()
	return C.DSS_OK
}

//export goOpen
func goOpen() C.uintptr_t {
	s := &state{}
	s.closed, s.close = context.WithCancel(context.Background())
	return C.uintptr_t(cgo.NewHandle(s))
}

//export goClosing
func goClosing(handle C.uintptr_t) {
	s := cgo.Handle(handle).Value().(*state)
	s.close()
	s.jobs.Wait()
}

//export goRelease
func goRelease(handle C.uintptr_t) {
	goClosing(handle)
	cgo.Handle(handle).Delete()
}

// Makes a panic an error, if deferred: it must not leave a function that C called, and in a goroutine it would end the process.
func caught(found func(error)) {
	if what := recover(); what != nil {
		found(fmt.Errorf("gozip: %v", what))
	}
}

func refusal(code C.int) error {
	return errors.New(C.GoString(C.sentence(code)))
}

// Bytes of Go's for one call of C.
func pointer(data []byte) (unsafe.Pointer, C.size_t) {
	if len(data) == 0 {
		return nil, 0
	}
	return unsafe.Pointer(&data[0]), C.size_t(len(data))
}

// Bytes of C's, which are good for the call alone.
func copied(value C.arguments) []byte {
	return append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(C.string_of(value))), value.size)...)
}

func main() {}
