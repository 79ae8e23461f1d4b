//go:build !celestia

package main

import (
	"encoding/hex"
	"flag"
	"io"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/p2p/conn"
	"sigwarden.test/cometbft/common"
)

// echo accepts SecretConnections, one at a time, and sends back what comes in, until its stdin ends.
func echo(args []string) error {
	flags := flag.NewFlagSet("echo", flag.ExitOnError)
	address := flags.String("listen", "tcp://127.0.0.1:0", "tcp://host:port")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, protocol, err := common.Bind(*address)
	if err != nil {
		return err
	}
	identity := ed25519.GenPrivKey()
	common.Print(map[string]any{
		"do": "listen", "ok": true, "address": protocol + "://" + listener.Addr().String(),
		"peer_id": hex.EncodeToString(identity.PubKey().Address()),
	})
	for {
		stream, err := listener.Accept()
		if err != nil {
			return err
		}
		secret, err := conn.MakeSecretConnection(stream, identity)
		if err != nil {
			common.Print(map[string]any{"do": "handshake", "ok": false, "error": err.Error()})
			stream.Close()
			continue
		}
		common.Print(map[string]any{"do": "handshake", "ok": true, "key": hex.EncodeToString(secret.RemotePubKey().Bytes())})
		buffer := make([]byte, 4096)
		_, err = io.CopyBuffer(struct{ io.Writer }{secret}, struct{ io.Reader }{secret}, buffer)
		line := map[string]any{"do": "closed", "ok": err == nil}
		if err != nil {
			line["error"] = err.Error()
		}
		common.Print(line)
		stream.Close()
	}
}
