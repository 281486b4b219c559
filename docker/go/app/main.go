// The session contract (docker/CONTRACT.md) over gorilla/sessions, used as its documentation does.
package main

import (
	"encoding/gob"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/boj/redistore"
	"github.com/gorilla/sessions"
)

// The same on every node, so that each can read what another has signed.
var key = []byte("the key of a measurement, and of nothing else")

// chosen is what the target has set.
type chosen struct {
	Store   string
	Address string
	MaxAge  int
}

// store is where sessions are kept. Everything that differs between targets is here.
func store(chosen chosen) (sessions.Store, error) {
	if chosen.Store == "cookie" {
		cookies := sessions.NewCookieStore(key)
		cookies.MaxAge(chosen.MaxAge)
		return cookies, nil
	}
	redis, err := redistore.NewRediStore(32, "tcp", chosen.Address+":6379", "", key)
	if err != nil {
		return nil, err
	}
	// Its limit is 4096 bytes if nothing is set.
	redis.SetMaxLength(0)
	redis.SetMaxAge(chosen.MaxAge)
	return redis, nil
}

func main() {
	gob.Register([]string{})
	text, err := os.ReadFile("/srv/sessions.json")
	if err != nil {
		log.Fatal(err)
	}
	var chosen chosen
	if err := json.Unmarshal(text, &chosen); err != nil {
		log.Fatal(err)
	}
	store, err := store(chosen)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(":8080", contract{store, draw()}))
}
