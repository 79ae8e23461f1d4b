// Package common is what the peers of all CometBFT versions share: commands on stdin, answers on stdout, one JSON object a line.
// What differs between versions, their types and their own verification, stands in each version's module.
package common

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Hex is bytes, written as hexadecimal.
type Hex []byte

// MarshalText writes lower-case hexadecimal.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hexadecimal.
func (h *Hex) UnmarshalText(text []byte) error {
	bytes, err := hex.DecodeString(string(text))
	*h = bytes
	return err
}

// Command is one line of stdin.
type Command struct {
	Do string `json:"do"` // pubkey, vote, proposal, bytes, rawbytes, ping, load

	Type          string    `json:"type"` // vote, load: prevote or precommit
	Height        int64     `json:"height"`
	Round         int32     `json:"round"`
	POLRound      int32     `json:"pol_round"`
	Block         Hex       `json:"block"` // 32 bytes; none is nil
	Time          time.Time `json:"time"`
	Extension     Hex       `json:"extension"`
	SkipExtension bool      `json:"skip_extension"` // v1
	ChainID       string    `json:"chain_id"`       // another than the listener's

	Value    Hex    `json:"value"` // bytes, rawbytes
	UniqueID string `json:"unique_id"`

	Votes int `json:"votes"` // load: how many, from Height on
}

// Answer is one line of stdout.
type Answer struct {
	Do    string `json:"do"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	Code  *int   `json:"code,omitempty"` // of a RemoteSignerError

	KeyType string `json:"key_type,omitempty"`
	Key     Hex    `json:"key,omitempty"`

	Signature          Hex        `json:"signature,omitempty"`
	ExtensionSignature Hex        `json:"extension_signature,omitempty"`
	Time               *time.Time `json:"time,omitempty"`
	// Whether CometBFT's own verification accepts what came back.
	Verified          bool   `json:"verified"`
	ExtensionVerified bool   `json:"extension_verified"`
	VerifyError       string `json:"verify_error,omitempty"`

	*Load

	took time.Duration
}

// Signer is CometBFT's SignerClient, of whichever version. Each function verifies what it got with that version's own code.
type Signer interface {
	Connected(wait time.Duration) error
	Ping() error
	PubKey() (keyType string, key []byte, err error)
	Vote(command Command) (Answer, error)
	Proposal(command Command) (Answer, error)
	// Raw is SignBytes of v1.x, SignRawBytes of Celestia.
	Raw(command Command) (Answer, error)
	// ErrorCode is the code of the RemoteSignerError that err is.
	ErrorCode(err error) (int, bool)
}

// Listening is how a listener was asked to be.
type Listening struct {
	Listener  net.Listener
	Protocol  string // tcp or unix
	ChainID   string
	Accept    time.Duration
	ReadWrite time.Duration
}

// Open makes a version's SignerClient, and tells the peer id of its listener.
type Open func(Listening) (signer Signer, peerID string, err error)

// Main runs `listener` with the version's Open, or one of the version's own programs.
func Main(open Open, programs map[string]func(args []string) error) {
	if len(os.Args) < 2 {
		fail(errors.New("usage: listener -listen ADDRESS -chain CHAIN_ID | another program of this version"))
	}
	program, own := programs[os.Args[1]]
	switch {
	case os.Args[1] == "listener":
		program = func(args []string) error { return listen(open, args) }
	case !own:
		fail(fmt.Errorf("%s is no program of this version", os.Args[1]))
	}
	if err := program(os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	Print(map[string]any{"do": "exit", "ok": false, "error": err.Error()})
	os.Exit(1)
}

// Print writes one line of JSON.
func Print(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

// Bind listens on unix:///path or tcp://host:port, and tells which address it is.
func Bind(address string) (net.Listener, string, error) {
	protocol, rest, found := strings.Cut(address, "://")
	if !found {
		return nil, "", fmt.Errorf("%s: unix:///path or tcp://host:port is right", address)
	}
	listener, err := net.Listen(protocol, rest)
	return listener, protocol, err
}

func listen(open Open, args []string) error {
	flags := flag.NewFlagSet("listener", flag.ExitOnError)
	address := flags.String("listen", "tcp://127.0.0.1:0", "unix:///path or tcp://host:port")
	chainID := flags.String("chain", "test-chain", "chain id")
	accept := flags.Duration("accept", 3*time.Second, "how long a request waits for a connection")
	readWrite := flags.Duration("timeout", 5*time.Second, "how long a request may take; pings come at two thirds of it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, protocol, err := Bind(*address)
	if err != nil {
		return err
	}
	bound := protocol + "://" + listener.Addr().String()
	signer, peerID, err := open(Listening{listener, protocol, *chainID, *accept, *readWrite})
	if err != nil {
		return err
	}
	Print(map[string]any{"do": "listen", "ok": true, "address": bound, "peer_id": peerID})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		command := Command{ChainID: *chainID}
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			return err
		}
		answer, err := run(signer, command)
		answer.Do, answer.OK = command.Do, err == nil
		if err != nil {
			answer.Error = err.Error()
			if code, remote := signer.ErrorCode(err); remote {
				answer.Code = &code
			}
		}
		Print(answer)
	}
	return lines.Err()
}

func run(signer Signer, command Command) (Answer, error) {
	switch command.Do {
	case "connected":
		return Answer{}, signer.Connected(10 * time.Second)
	case "ping":
		return Answer{}, signer.Ping()
	case "pubkey":
		keyType, key, err := signer.PubKey()
		return Answer{KeyType: keyType, Key: key}, err
	case "vote":
		return signer.Vote(command)
	case "proposal":
		return signer.Proposal(command)
	case "bytes", "rawbytes":
		return signer.Raw(command)
	case "load":
		return load(signer, command)
	default:
		return Answer{}, fmt.Errorf("%s is no command", command.Do)
	}
}
