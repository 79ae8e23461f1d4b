package main

import (
	"errors"

	"sigwarden.test/cometbft/common"
)

// Raw is nothing that v0.34 has.
func (s *signer) Raw(common.Command) (common.Answer, error) {
	return common.Answer{}, errors.New("CometBFT v0.34 signs no raw bytes")
}
