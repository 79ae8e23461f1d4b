//go:build !celestia

package main

import (
	"errors"

	"sigwarden.test/cometbft/common"
)

var programs = map[string]func([]string) error{"echo": echo, "init": initChain, "chain": chain}

// Raw is nothing that v0.38 has.
func (s *signer) Raw(common.Command) (common.Answer, error) {
	return common.Answer{}, errors.New("CometBFT v0.38 signs no raw bytes")
}
