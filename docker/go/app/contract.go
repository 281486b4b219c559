package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

const (
	name        = "session"
	emptyDigest = "cbf29ce484222325"
	tail        = 8
	maxBytes    = 4194304
	maxHoldMs   = 60000
)

// contract answers every call. It does not know where sessions are kept, and locks nothing itself.
type contract struct {
	store sessions.Store
	boot  string
}

// refusal is what is answered instead of a state.
type refusal struct {
	status int
	text   string
}

func draw() string {
	bytes := make([]byte, 8)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return hex.EncodeToString(bytes)
}

func (c contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case refusal:
			c.reply(w, problem.status, map[string]any{"error": problem.text})
		default:
			panic(problem)
		}
	}()
	switch r.Method + " " + r.URL.Path {
	case "POST /session":
		c.create(w, r)
	case "POST /session/log-in":
		c.logIn(w, r)
	case "POST /session/ops":
		c.append(w, r)
	case "GET /session":
		c.read(w, r)
	case "POST /session/log-out":
		c.logOut(w, r)
	case "GET /health":
		c.reply(w, 200, map[string]any{"members": []string{os.Getenv("NODE")}})
	case "GET /internals":
		c.internals(w)
	default:
		panic(refusal{404, "no such call"})
	}
}

func (c contract) create(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Owner *string
		Bytes *int
	}
	read(r, &body)
	if body.Owner == nil || body.Bytes == nil || !within(*body.Bytes, maxBytes) {
		panic(refusal{400, `POST /session takes {"owner": text, "bytes": 0 to 4194304}`})
	}
	// Ends the session of before, if there is one.
	if old := c.get(r); !old.IsNew {
		c.end(w, r, old)
	}
	// A session that is gone would be made again under its id.
	r.Header.Del("Cookie")
	session, err := c.store.New(r, name)
	if err != nil && session == nil {
		panic(refusal{503, err.Error()})
	}
	epoch := draw()
	session.Values["owner"] = *body.Owner
	session.Values["epoch"] = epoch
	session.Values["version"] = 0
	session.Values["digest"] = emptyDigest
	session.Values["tail"] = []string{}
	session.Values["payload"] = bytesOf(epoch, *body.Bytes)
	session.Values["changing"] = []byte{}
	c.show(w, r, session)
}

// logIn leaves the id as it is: gorilla/sessions has no call that changes it.
func (c contract) logIn(w http.ResponseWriter, r *http.Request) {
	var body struct{ Owner string }
	read(r, &body)
	if body.Owner == "" {
		panic(refusal{400, `POST /session/log-in takes {"owner": text}`})
	}
	session := c.known(r)
	session.Values["owner"] = body.Owner
	c.show(w, r, session)
}

func (c contract) append(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Op     string
		Bytes  int
		HoldMs int `json:"hold_ms"`
	}
	read(r, &body)
	if body.Op == "" || len(body.Op) > 64 || !within(body.Bytes, maxBytes) || !within(body.HoldMs, maxHoldMs) {
		panic(refusal{400, `POST /session/ops takes {"op": 1 to 64 characters, "bytes": 0 to 4194304, or none, "hold_ms": 0 to 60000, or none}`})
	}
	session := c.known(r)
	hold(body.HoldMs)
	session.Values["version"] = session.Values["version"].(int) + 1
	session.Values["digest"] = chained(session.Values["digest"].(string), body.Op)
	ops := append(session.Values["tail"].([]string), body.Op)
	session.Values["tail"] = ops[max(0, len(ops)-tail):]
	if body.Bytes > 0 {
		session.Values["changing"] = bytesOf(body.Op, body.Bytes)
	}
	c.show(w, r, session)
}

func (c contract) read(w http.ResponseWriter, r *http.Request) {
	ms, err := 0, error(nil)
	if text := r.URL.Query().Get("hold_ms"); text != "" {
		ms, err = strconv.Atoi(text)
	}
	if err != nil || !within(ms, maxHoldMs) {
		panic(refusal{400, "GET /session takes `hold_ms`, 0 to 60000, or nothing"})
	}
	session := c.known(r)
	hold(ms)
	// A session that did not change is not saved, as in its documentation.
	c.state(w, session)
}

func (c contract) logOut(w http.ResponseWriter, r *http.Request) {
	c.end(w, r, c.known(r))
	w.WriteHeader(204)
}

func (c contract) internals(w http.ResponseWriter) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	none := map[string]int{"primary": 0, "backup": 0, "proxy": 0}
	c.reply(w, 200, map[string]any{"heap_bytes": stats.HeapAlloc, "sessions": none})
}

// get is the session that a request names, or a new one.
func (c contract) get(r *http.Request) *sessions.Session {
	session, err := c.store.Get(r, name)
	// A cookie that cannot be read is one that nobody has given out; any other error comes from the store.
	var unreadable securecookie.Error
	if session == nil || err != nil && !(errors.As(err, &unreadable) && unreadable.IsDecode()) {
		panic(refusal{503, fmt.Sprint("the session cannot be loaded: ", err)})
	}
	return session
}

// known is the session that a request names.
func (c contract) known(r *http.Request) *sessions.Session {
	session := c.get(r)
	if _, is := session.Values["epoch"]; !is {
		panic(refusal{404, "unknown-session"})
	}
	return session
}

func (c contract) end(w http.ResponseWriter, r *http.Request, session *sessions.Session) {
	for key := range session.Values {
		delete(session.Values, key)
	}
	session.Options.MaxAge = -1
	if err := session.Save(r, w); err != nil {
		panic(refusal{503, "the session cannot be ended: " + err.Error()})
	}
}

// show saves the session, and shows it.
func (c contract) show(w http.ResponseWriter, r *http.Request, session *sessions.Session) {
	if err := session.Save(r, w); err != nil {
		status := 503
		if strings.Contains(err.Error(), "too long") {
			status = 413
		}
		panic(refusal{status, "the session cannot be saved: " + err.Error()})
	}
	c.state(w, session)
}

func (c contract) state(w http.ResponseWriter, session *sessions.Session) {
	held := session.Values
	payload := append(append([]byte{}, held["payload"].([]byte)...), held["changing"].([]byte)...)
	// Of an empty list gob makes none.
	ops := append([]string{}, held["tail"].([]string)...)
	c.reply(w, 200, map[string]any{
		"owner": held["owner"], "epoch": held["epoch"], "version": held["version"], "digest": held["digest"],
		"tail":    ops,
		"payload": map[string]any{"bytes": len(payload), "crc32": fmt.Sprintf("%08x", crc32.ChecksumIEEE(payload))},
	})
}

func (c contract) reply(w http.ResponseWriter, status int, body map[string]any) {
	body["node"], body["boot"] = os.Getenv("NODE"), c.boot
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func read(r *http.Request, body any) {
	if err := json.NewDecoder(r.Body).Decode(body); err != nil {
		panic(refusal{400, "the body is no JSON object"})
	}
}

// hold is what an application does between loading a session and saving it: it may take as long.
func hold(ms int) {
	time.Sleep(time.Duration(ms) * time.Millisecond)
}

func within(number, most int) bool {
	return number >= 0 && number <= most
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// chained is FNV-1a with 64 bits of the digest before and the operation.
func chained(digest, op string) string {
	before, _ := hex.DecodeString(digest)
	hash := fnv.New64a()
	hash.Write(before)
	hash.Write([]byte(op))
	var after [8]byte
	binary.BigEndian.PutUint64(after[:], hash.Sum64())
	return hex.EncodeToString(after[:])
}

// bytesOf is the bytes of a text: a linear congruential generator whose seed is its CRC-32.
func bytesOf(text string, count int) []byte {
	x := crc32.ChecksumIEEE([]byte(text))
	bytes := make([]byte, count)
	for i := range bytes {
		x = 1664525*x + 1013904223
		bytes[i] = byte(x >> 24)
	}
	return bytes
}
